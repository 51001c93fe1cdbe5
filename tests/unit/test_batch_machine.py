"""The life of an entry's batch job: what is submitted, reached, told and opened, and when."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.batch_fakes import (
    DOWN,
    NEVER,
    NOW,
    WAITS,
    FakeScheduler,
    a_job,
    batch_server,
    ended,
    files_of,
    running,
    seen,
)
from trayconnect.config.model import Server
from trayconnect.core.command import Command
from trayconnect.core.errors import Problem
from trayconnect.services.batch.job import End, Job, JobsSeen, Phase, Unanswered
from trayconnect.services.batch.machine import FLAPPING, TO_END, step
from trayconnect.services.batch.orders import LEFT, SHOWN_AFTER, TRIES
from trayconnect.services.batch.pace import HOME_LAG, NEAR, SILENT, SOON, files_are_late, next_due
from trayconnect.services.batch.reach import Way
from trayconnect.services.batch.scheduler import Refused, Submission, Submitted, Unsure
from trayconnect.services.batch.state import (
    RECENT,
    Answered,
    BatchState,
    CheckAgain,
    Chosen,
    Due,
    Effect,
    EntryChanged,
    Event,
    Leave,
    LinkDown,
    LinkUp,
    NodeLost,
    NotAsked,
    NotReached,
    Open,
    Ordered,
    Query,
    Reached,
    Submit,
    Tell,
    ToJupyter,
    ToldToEnd,
    Want,
    Withdraw,
)

CONNECT = Command("connect", "gpu")
NEW_JOB = Command("new-job", "gpu")
DISCONNECT = Command("disconnect", "gpu")
SCHEDULER = FakeScheduler()
REFUSAL = Problem("Slurm refused the job: Invalid partition name specified", "Change --partition=x")


class Life:
    """A machine at a time that only the test moves."""

    def __init__(self, server: Server | None = None) -> None:
        self.state = BatchState(server or batch_server())
        self.now = NOW
        self.marks = map(str, itertools.count(1))

    def feed(self, *events: Event) -> list[Effect]:
        """The effects of all of them."""
        effects: list[Effect] = []
        for event in events:
            self.state, more = step(self.state, event, self.now, next(self.marks))
            effects += more
        return effects

    def answer(self, *jobs: Job, ready: Sequence[Job] = ()) -> list[Effect]:
        """The scheduler lists those jobs; `ready`: the Jupyters of these show their sockets."""
        return self.feed(
            Answered(
                self.state.link, seen(*jobs, files=[files_of(job) for job in ready]), SCHEDULER
            )
        )

    def silence(self) -> list[Effect]:
        return self.feed(Answered(self.state.link, Unanswered("timed out"), SCHEDULER))

    def ordered(self, submission: Submission) -> list[Effect]:
        return self.feed(Ordered(self.state.link, submission))

    def reached(self, way: Way = Way.SSH) -> list[Effect]:
        return self.feed(Reached(self.state.attempt, way))

    def later(self, seconds: float) -> list[Effect]:
        self.now += seconds
        return self.feed(Due())

    def to_queue(self) -> None:
        self.feed(CONNECT, LinkUp())
        self.answer()
        self.ordered(Submitted("7"))
        self.answer(a_job())

    def to_node(self) -> None:
        """On the node of job 7, with the page's debt settled."""
        self.feed(CONNECT, LinkUp())
        self.answer(running(), ready=[running()])
        self.reached()


def told(effects: Sequence[Effect]) -> list[str]:
    return [effect.notice.title for effect in effects if isinstance(effect, Tell)]


def kinds(effects: Sequence[Effect]) -> list[type[Effect]]:
    return [type(effect) for effect in effects]


# --- found, or submitted --------------------------------------------------------------------------


def test_a_click_looks_first_and_submits_only_after_an_answer_without_a_job() -> None:
    life = Life()
    assert life.feed(CONNECT) == []
    assert life.feed(LinkUp()) == [Query()]
    (submit,) = life.answer()
    assert isinstance(submit, Submit)
    assert life.answer() == []  # not twice
    assert kinds(life.ordered(Submitted("7"))) == [Withdraw, Query]
    assert life.answer(a_job()) == []
    assert life.state.want is Want.NOTHING


@pytest.mark.parametrize("job", [a_job(), running()])
def test_a_job_of_the_entry_is_found_again(job: Job) -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    assert Submit not in kinds(life.answer(job))
    assert life.state.job == job


def test_a_job_of_another_entry_or_program_is_not_taken() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    others = (running(1, name="other"), replace(running(2), name="mine", has_jupyter=True))
    assert Submit in kinds(life.answer(*others))
    assert life.state.job is None
    assert life.state.foreign == others  # but the user may choose it


def test_an_ended_job_of_the_list_is_not_taken() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    assert Submit in kinds(life.answer(ended(running())))


def test_no_answer_submits_nothing_and_ends_nothing() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    for wait in (*SILENT, SILENT[-1]):
        assert life.silence() == []
        assert next_due(life.state) == life.now + wait
        assert life.later(wait) == [Query()]
    assert Submit in kinds(life.answer())
    life = Life()
    life.to_node()
    before = life.state.job
    life.silence()
    life.feed(CheckAgain())
    life.feed(NotAsked(life.state.link, DOWN))
    assert life.state.job == before
    assert life.state.way is Way.SSH
    assert life.state.silent == DOWN


def test_only_by_order_where_the_entry_says_so() -> None:
    life = Life(batch_server(batch={"when": "menu"}))
    life.feed(CONNECT, LinkUp())
    assert life.answer() == []
    assert life.feed(NEW_JOB) == [Query()]
    assert Submit in kinds(life.answer())


def test_an_order_before_the_link_waits_for_it() -> None:
    life = Life(batch_server(batch={"when": "menu"}))
    life.feed(Command("start-jupyter", "gpu"), CONNECT, LinkUp())
    assert Submit in kinds(life.answer())


def test_start_takes_a_job_that_is_there_and_new_job_does_not() -> None:
    life = Life()
    life.to_node()
    life.feed(Command("start-jupyter", "gpu"))
    assert Submit not in kinds(life.answer(running()))
    life.feed(NEW_JOB)
    assert Submit in kinds(life.answer(running(), ready=[running()]))
    life.ordered(Submitted("8"))
    life.answer(running(), a_job(8), ready=[running()])
    assert life.state.job == running()  # the page of the one that runs stays
    assert life.state.way is Way.SSH


def test_only_a_new_job_is_submitted_beside_one_of_another_computer() -> None:
    """That one may have come after the answer: the login node looks once more."""
    for command, takes_any in ((CONNECT, True), (NEW_JOB, False)):
        life = Life()
        life.feed(command, LinkUp())
        (order,) = (one for one in life.answer() if isinstance(one, Submit))
        assert order.takes_any is takes_any


def test_a_job_that_a_late_list_does_not_show_is_waited_for() -> None:
    """Its record shows it: see `Scheduler.explained`."""
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer()
    life.ordered(Submitted("7"))
    for _ in range(3):
        life.now += 30
        assert Query(("7",)) in [*life.answer(), *life.later(0)]
        effects = life.answer(a_job())
        assert not told(effects)
        assert life.state.is_live
        life.later(30)
    assert life.state.order is None


def test_a_refusal_is_told_and_not_repeated_until_the_entry_changes() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer()
    assert told(life.ordered(Refused(REFUSAL))) == [REFUSAL.title]
    life.now += 600
    assert life.feed(Due()) == [Query()]
    assert life.answer() == []
    assert life.state.refusal == REFUSAL
    changed = batch_server(batch={"options": ["--partition=main"]})
    assert life.feed(EntryChanged(changed)) == [Query()]
    assert Submit in kinds(life.answer())


def test_an_order_without_a_clear_answer_keeps_its_mark() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    effects, marks = life.answer(), []
    for _ in range(TRIES):
        marks += [effect.mark for effect in effects if isinstance(effect, Submit)]
        life.ordered(Unsure("Socket timed out"))
        life.later(SILENT[0])
        effects = life.answer()
    assert len(marks) == TRIES
    assert len(set(marks)) == 1
    assert told(effects) == ["No job was submitted on gpu: the scheduler gave no clear answer"]


def test_a_job_of_an_order_without_a_clear_answer_is_found() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer()
    life.ordered(Unsure("Socket timed out"))
    life.later(SILENT[0])
    assert life.answer(a_job()) == []
    assert life.state.job == a_job()
    assert life.state.order is None


def test_a_cut_during_the_order_looks_first_and_orders_the_same_again() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    (first,) = life.answer()
    stale = life.state.link
    life.feed(LinkDown(), LinkUp())
    assert life.feed(Ordered(stale, Submitted("9"))) == []
    assert life.answer() == [first]


def test_a_job_that_the_list_does_not_show_yet_has_not_ended() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer()
    life.ordered(Submitted("7"))
    assert life.answer() == []
    assert life.state.job is not None
    assert life.state.job.id == "7"
    life.now += 11
    assert life.feed(Due()) == [Query()]
    assert life.answer() == [Query(("7",))]


def test_a_click_before_the_list_shows_the_new_job_submits_nothing() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer()
    life.ordered(Submitted("7"))
    for command in (CONNECT, Command("start-jupyter", "gpu")):
        life.feed(command)
        assert Submit not in kinds(life.answer())
    assert life.answer(a_job()) == []
    assert life.state.job == a_job()


def test_nor_does_one_while_the_former_job_is_ending() -> None:
    life = Life()
    life.to_node()
    ending = replace(running(), phase=Phase.ENDING)
    life.feed(ToldToEnd("7"))
    life.answer(ending)
    life.feed(NodeLost(life.state.attempt))
    life.feed(CONNECT)
    assert Submit in kinds(life.answer(ending))
    life.ordered(Submitted("8"))
    life.feed(CONNECT)
    assert Submit not in kinds(life.answer(ending))
    over = ended(running(), End.CANCELLED)
    assert life.answer(over) == [Query(("7",))]
    assert Submit not in kinds(life.answer(over))
    assert life.state.job is not None
    assert life.state.job.id == "8"


def test_a_click_with_a_chosen_job_of_another_program_submits_nothing() -> None:
    life = Life(batch_server(batch={"when": "menu"}))
    life.feed(CONNECT, LinkUp())
    mine = replace(running(2), name="mine", has_jupyter=True)
    life.answer(mine)
    life.feed(Chosen("2"), Command("start-jupyter", "gpu"))
    assert Submit not in kinds(life.answer(mine))


def reconnected(life: Life) -> list[Effect]:
    """Disconnect, click, and an answer that shows no job."""
    life.feed(DISCONNECT, LinkDown(), CONNECT, LinkUp())
    return life.answer()


def test_a_click_after_disconnecting_during_the_order_gives_the_same_order() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    (first,) = life.answer()
    assert [reconnected(life) for _ in range(TRIES + 1)] == [[first]] * (TRIES + 1)
    life.feed(DISCONNECT, LinkDown())
    life.now += LEFT + 1
    life.feed(CONNECT, LinkUp())
    (other,) = life.answer()
    assert isinstance(other, Submit)
    assert other != first


def test_a_click_after_disconnecting_finds_the_job_that_the_list_does_not_show_yet() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer()
    life.ordered(Submitted("7"))
    assert reconnected(life) == []
    assert life.answer(a_job()) == []
    assert life.state.job == a_job()
    life.feed(DISCONNECT, LinkDown())
    assert life.state.job is None


def test_disconnecting_asks_nothing_more() -> None:
    life = Life()
    life.to_queue()
    assert Query not in kinds(life.feed(DISCONNECT))


def test_a_click_after_an_order_without_a_clear_answer_gives_the_same_order() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    (first,) = life.answer()
    for _ in range(TRIES):
        life.ordered(Unsure("Socket timed out"))
        life.later(SILENT[0])
        life.answer()
    assert life.state.refusal is not None
    life.feed(CONNECT)
    assert life.answer() == [first]


# --- its entry changes ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "batch", [{"time": "5:00:00"}, {"options": ["--mem=1G"]}, {"when": "menu"}, {"reach": "srun"}]
)
@pytest.mark.parametrize("is_reached", [True, False])
def test_another_entry_goes_on_with_the_job(batch: dict[str, object], is_reached: bool) -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer(running(), ready=[running()])
    life.feed(Reached(life.state.attempt, Way.SSH) if is_reached else CheckAgain())
    effects = life.feed(EntryChanged(batch_server(batch=batch)))
    opened = [effect for effect in effects if isinstance(effect, Open)]
    assert [effect.to.scheduler for effect in opened] == [SCHEDULER] * ("reach" in batch)
    assert life.state.scheduler is SCHEDULER
    assert not {Submit, Leave, Open} & set(kinds(life.answer(running(), ready=[running()])))


def test_another_system_is_asked_before_anything_else() -> None:
    life = Life()
    life.to_node()
    life.feed(CheckAgain())
    former = life.state.link
    changed = EntryChanged(batch_server(batch={"system": "gridengine", "reach": "ssh"}))
    assert kinds(life.feed(changed)) == [Leave, Query]
    assert life.feed(Due(), Answered(former, seen(), SCHEDULER)) == []
    assert next_due(life.state) > life.now
    other = FakeScheduler()
    files = [files_of(running())]
    effects = life.feed(Answered(life.state.link, seen(running(), files=files), other))
    assert [effect.to.scheduler for effect in effects if isinstance(effect, Open)] == [other]


# --- its end --------------------------------------------------------------------------------------


@pytest.mark.parametrize("last", [(), (ended(running()),)])
def test_an_end_is_explained_then_told_and_nothing_is_submitted(last: tuple[Job, ...]) -> None:
    life = Life()
    life.to_node()
    life.later(60)
    assert life.answer(*last) == [Query(("7",))]
    assert life.state.is_live
    effects = life.answer(*last)
    assert kinds(effects) == [Leave, Tell]
    assert not life.state.is_live
    life.now += 900
    assert life.feed(Due()) == [Query()]
    assert life.answer(*last) == []


def test_an_end_during_silence_waits_for_an_answer() -> None:
    life = Life()
    life.to_node()
    life.later(60)
    life.answer()
    life.silence()
    assert life.state.is_live
    assert life.later(SILENT[0]) == [Query(("7",))]
    assert Tell in kinds(life.answer())


def test_a_job_that_shows_again_has_not_ended() -> None:
    life = Life()
    life.to_node()
    life.later(60)
    assert life.answer() == [Query(("7",))]
    assert life.answer(running(), ready=[running()]) == []
    assert life.state.way is Way.SSH


def test_an_end_that_the_user_ordered_is_not_told() -> None:
    life = Life()
    life.to_node()
    assert life.feed(ToldToEnd("7")) == [Query()]
    assert life.answer(replace(running(), phase=Phase.ENDING)) == []
    assert next_due(life.state) == life.now + 2
    life.later(2)
    life.answer(ended(running(), End.CANCELLED))
    effects = life.answer(ended(running(), End.CANCELLED))
    assert effects == [Leave(), Withdraw()]


def test_a_job_that_does_not_end_when_told_lives_on() -> None:
    life = Life()
    life.to_node()
    life.feed(ToldToEnd("7"))
    life.later(TO_END)
    life.answer(running(), ready=[running()])
    assert life.state.ending == "7"
    life.later(2)
    life.answer(running(), ready=[running()])
    assert life.state.ending == ""
    assert next_due(life.state) > life.now + 20


def test_the_end_of_a_job_is_awaited_while_another_one_is_used() -> None:
    life = Life()
    life.to_node()
    life.feed(ToldToEnd("7"))
    life.answer(replace(running(), phase=Phase.ENDING), running(8), ready=[running(8)])
    assert life.state.job is not None
    assert life.state.job.id == "8"
    life.reached()
    assert next_due(life.state) == life.now + 2
    life.later(2)
    life.answer(ended(running()), running(8), ready=[running(8)])
    assert next_due(life.state) > life.now + 20


@pytest.mark.parametrize("is_told", [True, False])
def test_a_job_that_is_ending_is_asked_for_less_and_less_often(is_told: bool) -> None:
    life = Life()
    life.to_node()
    if is_told:
        life.feed(ToldToEnd("7"))
    pauses = []
    for wait in (0, 30, 60, 600, 3600):
        life.now += wait
        life.feed(Due() if life.state.is_asking else CheckAgain())
        life.answer(replace(running(), phase=Phase.ENDING))
        pauses.append(next_due(life.state) - life.now)
    assert pauses == [2, 2, 15, 60, 60]


def test_a_click_after_the_end_submits_and_opening_an_old_page_does_not() -> None:
    life = Life()
    life.to_node()
    life.later(60)
    life.answer()
    life.answer()
    life.feed(Command("open", "gpu"))
    assert Submit not in kinds(life.answer())
    life.feed(CONNECT)
    assert Submit in kinds(life.answer())


def test_the_end_while_the_laptop_was_away_is_told_and_no_job_is_submitted() -> None:
    life = Life()
    life.to_node()
    assert Leave in kinds(life.feed(LinkDown()))
    life.now += 20_000
    assert life.feed(LinkUp()) == [Query()]
    assert life.answer() == [Query(("7",))]
    assert kinds(life.answer()) == [Tell]


def test_a_second_job_takes_over_when_the_first_ends() -> None:
    life = Life()
    life.to_node()
    life.later(60)
    both = ended(running()), running(8)
    life.answer(*both)
    effects = life.answer(*both, ready=[running(8)])
    assert kinds(effects) == [Leave, Tell, Open]
    assert life.state.job == running(8)


def test_a_job_that_the_site_puts_back_is_queued_again() -> None:
    life = Life()
    life.to_node()
    life.later(60)
    assert kinds(life.answer(a_job())) == [Leave]
    life.feed(CheckAgain())
    effects = life.answer(running(nodes=("c2",)), ready=[running()])
    assert Open in kinds(effects)


# --- started --------------------------------------------------------------------------------------


def test_a_start_soon_after_the_click_opens_the_page() -> None:
    life = Life()
    life.to_queue()
    life.later(5)
    (opened,) = life.answer(running(), ready=[running()])
    assert isinstance(opened, Open)
    assert life.reached() == [ToJupyter(CONNECT)]
    assert life.state.way is Way.SSH


def test_a_start_just_before_the_click_is_old_opens_the_page() -> None:
    life = Life()
    life.to_queue()
    life.later(RECENT - 5)
    assert told(life.answer(running())) == []
    life.later(10)
    life.answer(running(), ready=[running()])
    assert life.reached() == [ToJupyter(CONNECT)]


def test_a_start_long_after_the_click_is_told_and_opens_nothing() -> None:
    life = Life()
    life.to_queue()
    life.later(RECENT + 1)
    effects = life.answer(running(), ready=[running()])
    assert told(effects) == ["Your job on gpu has started"]
    assert life.reached() == []


def test_a_start_while_the_laptop_was_away_is_told() -> None:
    life = Life()
    life.to_queue()
    life.feed(LinkDown())
    life.now += 5000
    life.feed(LinkUp())
    assert told(life.answer(running(), ready=[running()])) == ["Your job on gpu has started"]


def test_a_job_that_ran_already_opens_as_a_server_does() -> None:
    life = Life()
    life.feed(Command("open", "gpu"), LinkUp())
    life.answer(running(), ready=[running()])
    assert life.reached() == [ToJupyter(Command("open", "gpu"))]
    assert life.feed(CONNECT)[0] == ToJupyter(CONNECT)


def test_the_node_waits_for_the_files_of_the_job() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    assert life.answer(running()) == []
    assert next_due(life.state) == life.now + 1
    assert not files_are_late(life.state, life.now)
    assert life.later(HOME_LAG + 1) == [Query()]
    assert files_are_late(life.state, life.now)
    assert kinds(life.answer(running(), ready=[running()])) == [Open]


def test_a_disconnect_asks_for_nothing() -> None:
    life = Life()
    life.to_queue()
    assert kinds(life.feed(DISCONNECT)) == [ToJupyter, Withdraw]
    life.feed(LinkDown())
    life = Life()
    life.to_node()
    assert kinds(life.feed(DISCONNECT)) == [Leave, ToJupyter, Withdraw]


def test_another_job_that_waits_is_asked_for_as_one_that_waits() -> None:
    life = Life()
    life.to_node()
    assert next_due(life.state) == life.now + 60
    life.answer(running(), a_job(8, submitted=life.now), ready=[running()])
    assert next_due(life.state) == life.now + 2


def test_a_job_that_never_starts_as_asked_is_told_once() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    never = a_job(reason=NEVER)
    expected = "The job on gpu will not start as asked: the partition's time limit is shorter"
    assert told(life.answer(never)) == [expected]
    life.later(60)
    assert told(life.answer(never)) == []
    # Some schedulers put more into its reason each time.
    assert told(life.answer(a_job(reason=replace(NEVER, word=f"{NEVER.word} 2")))) == []
    assert life.answer(a_job(reason=WAITS)) == [Withdraw()]


def test_a_refused_new_job_is_no_problem_of_the_running_one_for_long() -> None:
    life = Life()
    life.to_node()
    life.feed(NEW_JOB)
    life.answer(running(), ready=[running()])
    life.ordered(Refused(REFUSAL))
    assert life.state.refusal == REFUSAL
    life.feed(Command("open", "gpu"))
    assert life.state.refusal is None


# --- the node -------------------------------------------------------------------------------------


def test_a_node_that_is_not_reached_is_tried_again_later_and_later() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer(running(), ready=[running()])
    assert next_due(life.state) == life.now + 60  # its files have shown
    waits = []
    for _ in range(8):
        assert life.feed(NotReached(life.state.attempt, DOWN)) == [Query()]
        life.answer(running(), ready=[running()])
        waits.append(life.state.reach_at - life.now)
        life.now = life.state.reach_at
        effects = [e for e in life.feed(Due()) if isinstance(e, Open)]
        assert [e.attempt for e in effects] == [life.state.attempt]
        if life.state.is_asking:  # the minute is over, too
            life.answer(running(), ready=[running()])
    assert waits == sorted(waits)
    assert waits[-1] == 60


def test_a_lost_node_is_reached_again_and_a_way_that_flaps_is_left() -> None:
    life = Life()
    life.to_node()
    life.later(600)
    life.answer(running(), ready=[running()])

    def lose() -> frozenset[Way]:
        assert life.feed(NodeLost(life.state.attempt)) == [Leave(), Query()]
        life.answer(running(), ready=[running()])
        (opened,) = life.later(1)
        assert isinstance(opened, Open)
        life.reached()
        return opened.failed

    assert lose() == frozenset()
    assert lose() == {Way.SSH}
    life.now += 10 * FLAPPING
    assert lose() == {Way.SSH}


def test_a_node_that_is_lost_before_it_is_told_of_is_reached_again() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.answer(running(), ready=[running()])
    attempt = life.state.attempt
    assert life.feed(NodeLost(attempt)) == [Leave(), Query()]
    assert life.feed(Reached(attempt, Way.SSH)) == []
    life.answer(running(), ready=[running()])
    assert Open in kinds(life.later(1))


def test_late_news_of_an_earlier_attempt_or_link_changes_nothing() -> None:
    life = Life()
    life.to_node()
    before = life.state
    old = before.attempt - 1
    events = (Reached(old, Way.SRUN), NotReached(old, DOWN), NodeLost(old))
    assert life.feed(*events, Answered(before.link - 1, seen(), SCHEDULER)) == []
    assert life.state == before


def test_another_way_in_the_entry_is_taken_at_once() -> None:
    life = Life()
    life.to_node()
    changed = batch_server(batch={"reach": "srun"})
    assert kinds(life.feed(EntryChanged(changed))) == [Leave, Query, Open]
    assert life.feed(EntryChanged(batch_server(batch={"reach": "srun"}, group="Lab"))) == []


# --- several jobs ---------------------------------------------------------------------------------


def test_a_chosen_job_is_used_until_it_ends() -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    mine = replace(running(2), name="mine", has_jupyter=True)
    jobs = (running(), running(8), mine)
    life.answer(*jobs, ready=jobs[:2])
    assert life.state.job == jobs[0]
    life.reached()
    for chosen in (jobs[1], mine):
        effects = life.feed(Chosen(chosen.id))
        assert Leave in kinds(effects)
        assert [e.to.job for e in effects if isinstance(e, Open)] == [chosen]
        life.reached()
        life.answer(*jobs, ready=jobs[:2])
        assert life.state.job == chosen


def test_disconnecting_leaves_the_job_and_forgets_the_rest() -> None:
    life = Life()
    life.to_node()
    effects = life.feed(DISCONNECT)
    assert kinds(effects)[0] is Leave
    assert Submit not in kinds(effects)
    assert life.state.job is None
    assert life.state.want is Want.NOTHING


# --- the clock ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waited", "job", "pause"),
    [
        (10, a_job(submitted=NOW), 2),
        (30, a_job(submitted=NOW), 5),
        (100, a_job(submitted=NOW, reason=WAITS), 60),
        (100, a_job(submitted=NOW, starts=NOW + 100 + NEAR / 2), 5),
        (4000, a_job(submitted=NOW), 120),
        (4000, a_job(submitted=NOW, starts=NOW + 3950), 5),
        (4000, a_job(submitted=NOW, starts=NOW + 3000), 120),
        (90_000, a_job(submitted=NOW, starts=NOW + 80_000), 300),
        (90_000, a_job(submitted=NOW), 300),
    ],
)
def test_a_queued_job_is_asked_for_less_and_less_often(
    waited: float, job: Job, pause: float
) -> None:
    life = Life()
    life.feed(CONNECT, LinkUp())
    life.now = NOW + waited
    life.answer(job)
    assert next_due(life.state) == life.now + pause


def test_a_clock_that_is_set_back_does_not_stop_the_queries() -> None:
    life = Life()
    life.to_queue()
    life.later(-7200)
    assert next_due(life.state) <= life.now + 300
    life.to_node()
    life.feed(NodeLost(life.state.attempt))
    life.answer(running(), ready=[running()])
    assert kinds(life.later(-7200)) == [Open]


def test_the_end_of_the_time_is_told_before_and_asked_for_when_it_comes() -> None:
    life = Life()
    life.to_node()
    job = running()
    assert job.ends is not None
    life.now = job.ends - SOON - 30
    life.feed(CheckAgain())
    life.answer(job, ready=[job])
    assert next_due(life.state) == job.ends - SOON
    effects = life.later(30)
    assert told(effects) == ["Your job on gpu ends in 10 min"]
    assert Query() in effects
    life.answer(job, ready=[job])
    assert told(life.later(60)) == []
    life.answer(job, ready=[job])
    life.now = job.ends - 5
    life.feed(CheckAgain())
    life.answer(job, ready=[job])
    assert next_due(life.state) == job.ends


def test_the_user_is_told_of_the_end_of_the_time_also_while_the_scheduler_is_silent() -> None:
    life = Life()
    life.to_node()
    job = running()
    assert job.ends is not None
    life.now = job.ends - SOON
    life.feed(CheckAgain())
    life.silence()
    assert "soon 7" in life.state.told


# --- whatever happens -----------------------------------------------------------------------------


@dataclass
class Simulated:
    """A cluster that loses answers, and a user who clicks."""

    life: Life = field(default_factory=Life)
    jobs: dict[str, Job] = field(default_factory=dict)
    marks: dict[str, str] = field(default_factory=dict)
    pending: list[Effect] = field(default_factory=list)
    orders: int = 0
    lag: float = 0.0
    """Seconds until the list shows a job."""
    came: dict[str, float] = field(default_factory=dict)

    def feed(self, event: Event) -> None:
        before = self.life.state
        effects = self.life.feed(event)
        self.check(before, event, effects)
        self.pending += [e for e in effects if isinstance(e, Query | Submit | Open)]

    def check(self, before: BatchState, event: Event, effects: Sequence[Effect]) -> None:
        after = self.life.state
        if Submit in kinds(effects):
            assert isinstance(event, Answered)
            assert isinstance(event.answer, JobsSeen)
        if isinstance(event, Answered) and isinstance(event.answer, Unanswered):
            assert after.job == before.job
            assert after.way == before.way
        assert kinds(effects).count(Query) <= 1
        if Query in kinds(effects):
            is_over = isinstance(event, Answered | NotAsked) or before.link != after.link
            assert is_over or not before.is_asking
        if Open in kinds(effects):
            assert after.way is None
            assert after.scheduler is not None
        if Submit in kinds(effects):
            assert after.scheduler is not None
        assert after.is_reaching <= after.is_linked
        assert (after.way is not None) <= after.is_linked
        assert next_due(after) > self.life.now  # no busy loop

    def submit(self, mark: str) -> str:
        if mark not in self.marks:
            number = str(len(self.jobs) + 1)
            self.marks[mark] = number
            self.jobs[number] = a_job(int(number), submitted=self.life.now)
            self.came[number] = self.life.now
        return self.marks[mark]

    def answer(self) -> JobsSeen:
        shown = [number for number, at in self.came.items() if self.life.now - at >= self.lag]
        jobs = tuple(self.jobs[number] for number in shown)
        alive = [job for job in jobs if job.phase is Phase.RUNNING]
        return seen(*jobs, files=[files_of(job) for job in alive])

    def do(self, what: str, number: int) -> None:
        life, state = self.life, self.life.state
        match what:
            case "connect" | "new-job":
                self.orders += 1
                self.feed(Command(what, "gpu"))
                if not life.state.is_linked:
                    self.feed(LinkUp())
            case "cut" if state.is_linked:
                self.drop(number)
                self.feed(LinkDown())
            case "mend" if not state.is_linked:
                self.feed(LinkUp())
            case "disconnect":
                self.drop(number)
                if state.is_linked:
                    self.feed(LinkDown())
                self.feed(DISCONNECT)
            case "wait":
                life.now += number
                self.feed(Due())
            case "edit":
                reach = ("auto", "ssh", "srun")[number % 3]
                system = ("auto", "slurm")[number // 3 % 2]
                changed = batch_server(batch={"reach": reach, "system": system})
                if state.server.batch is not None and state.server.batch.system != system:
                    self.drop(number, (Query, Submit))
                self.feed(EntryChanged(changed))
            case "lost" if state.way is not None:
                self.feed(NodeLost(state.attempt))
            case "start" | "end" | "kill":
                self.on_cluster(what, number)
            case "work" | "silence" if self.pending and state.is_linked:
                self.work(self.pending.pop(0), is_silent=what == "silence")

    def drop(self, number: int, what: tuple[type[Effect], ...] = (Query, Submit, Open)) -> None:
        """What is under way is lost, perhaps only its answer."""
        for effect in self.pending:
            if isinstance(effect, Submit) and number % 2:
                self.submit(effect.mark)
        self.pending = [effect for effect in self.pending if not isinstance(effect, what)]

    def on_cluster(self, what: str, number: int) -> None:
        name = str(number % 5 + 1)
        job = self.jobs.get(name)
        if job is None:
            return
        if what == "start" and job.phase is Phase.QUEUED:
            self.jobs[name] = running(int(name), ends=self.life.now + 3600)
        if what == "end":
            self.jobs[name] = ended(job)

    def work(self, effect: Effect, *, is_silent: bool) -> None:
        link = self.life.state.link
        match effect:
            case Query():
                answer = Unanswered("timed out") if is_silent else self.answer()
                self.feed(Answered(link, answer, SCHEDULER))
            case Submit(mark):
                number = self.submit(mark)
                self.feed(Ordered(link, Unsure("?") if is_silent else Submitted(number)))
            case Open(attempt):
                self.feed(NotReached(attempt, DOWN) if is_silent else Reached(attempt, Way.SSH))


WHATS = [
    "connect", "new-job", "cut", "mend", "disconnect", "wait", "lost", "edit", "start", "end",
    "work", "work", "work", "silence",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WHATS), st.integers(0, 700)), max_size=60))
def test_no_order_leads_to_two_jobs_whatever_is_lost(
    story: list[tuple[str, int]],
) -> None:
    simulated = Simulated()
    for what, number in story:
        simulated.do(what, number)
        assert len(simulated.jobs) <= simulated.orders


IMPATIENT = [
    "connect",
    "disconnect",
    "cut",
    "mend",
    "wait",
    "start",
    "end",
    *["work"] * 4,
    "silence",
]
SHORT_OR_LONG = st.one_of(st.integers(0, 3), st.integers(0, 700))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(IMPATIENT), SHORT_OR_LONG), max_size=60),
    st.sampled_from([0.0, SHOWN_AFTER]),
)
def test_clicks_lead_to_one_live_job_whatever_is_lost_or_late(
    story: list[tuple[str, int]], lag: float
) -> None:
    simulated = Simulated(lag=lag)
    for what, number in [("connect", 0), ("work", 0), *story]:
        simulated.do(what, number)
        live = [job for job in simulated.jobs.values() if job.phase is not Phase.ENDED]
        assert len(live) <= 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WHATS), st.integers(0, 700)), max_size=40))
def test_whatever_happened_a_calm_cluster_is_seen_as_it_is(story: list[tuple[str, int]]) -> None:
    simulated = Simulated()
    for what, number in story:
        simulated.do(what, number)
    if not simulated.life.state.is_linked:
        simulated.feed(LinkUp())
    for _ in range(40):
        while simulated.pending:
            simulated.do("work", 0)
        simulated.do("wait", 61)
    state = simulated.life.state
    live = [job for job in simulated.jobs.values() if job.phase is not Phase.ENDED]
    assert state.is_live == bool(live)
    if state.job is not None and state.job.phase is Phase.RUNNING:
        assert state.way is Way.SSH
