/* A line with a delay: passes TCP connections on, each byte so many milliseconds later.
 *
 *   delay PORT MILLISECONDS   listens on a free loopback port, prints it, and leads to PORT
 *
 * The delay holds for each direction, so a round trip takes twice as long. Nothing limits the rate.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, MOST = 256 * 1024 * 1024 };

struct piece {
  struct piece *next;
  double due;
  size_t sent, size; /* a size of 0: the end of the data */
  char data[];
};

struct way {
  int in, out, ended, over; /* no more is read; no more is written */
  size_t held;
  struct piece *first, **last;
};

static int port;
static double delay;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void take(struct way *way, char *buffer) {
  ssize_t n = read(way->in, buffer, CHUNK);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n < 0) n = 0;
  struct piece *piece = malloc(sizeof *piece + n);
  piece->next = NULL, piece->due = now() + delay, piece->sent = 0, piece->size = n;
  memcpy(piece->data, buffer, n);
  *way->last = piece, way->last = &piece->next;
  way->held += n, way->ended = n == 0;
}

static void drop(struct way *way) {
  struct piece *piece = way->first;
  way->held -= piece->size, way->first = piece->next;
  if (!way->first) way->last = &way->first;
  free(piece);
}

/* Send what is due; returns 0 where the socket takes no more. */
static int give(struct way *way) {
  while (way->first && way->first->due <= now()) {
    struct piece *piece = way->first;
    if (piece->size == 0) {
      shutdown(way->out, SHUT_WR);
      way->over = 1;
    } else {
      size_t left = piece->size - piece->sent;
      ssize_t n = send(way->out, piece->data + piece->sent, left, MSG_NOSIGNAL);
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
      if (n < 0) { /* nobody reads there any more */
        shutdown(way->in, SHUT_RD);
        way->ended = way->over = 1;
        while (way->first) drop(way);
        return 1;
      }
      piece->sent += n;
      if ((size_t)n < left) return 0;
    }
    drop(way);
  }
  return 1;
}

static void carry(int near, int far) {
  struct way ways[2] = {{.in = near, .out = far}, {.in = far, .out = near}};
  char *buffer = malloc(CHUNK);
  for (int i = 0; i < 2; i++) ways[i].last = &ways[i].first;
  while (!ways[0].over || !ways[1].over) {
    struct pollfd polled[2] = {{.fd = near}, {.fd = far}};
    double next = 1e9;
    for (int i = 0; i < 2; i++) {
      struct way *way = &ways[i];
      if (!way->ended && way->held < MOST) polled[i].events |= POLLIN;
      if (!way->first) continue;
      if (way->first->due <= now()) polled[1 - i].events |= POLLOUT;
      else if (way->first->due < next) next = way->first->due;
    }
    for (int i = 0; i < 2; i++)
      if (!polled[i].events) polled[i].fd = -1; /* else a reset wakes it over and over */
    double wait = next - now();
    struct timespec limit = {.tv_sec = 0};
    if (wait > 0) limit.tv_sec = wait, limit.tv_nsec = (wait - (long)wait) * 1e9;
    ppoll(polled, 2, next < 1e9 ? &limit : NULL, NULL);
    for (int i = 0; i < 2; i++) {
      if (!ways[i].ended && polled[i].revents) take(&ways[i], buffer);
      give(&ways[i]);
    }
  }
  free(buffer);
}

static void prepare(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, O_NONBLOCK);
}

static void *serve(void *argument) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int near = (int)(long)argument, far = socket(AF_INET, SOCK_STREAM, 0);
  prctl(PR_SET_TIMERSLACK, 1UL);
  /* The answer to a SYN takes a round trip, too. */
  struct timespec trip = {.tv_sec = 2 * delay, .tv_nsec = (2 * delay - (long)(2 * delay)) * 1e9};
  nanosleep(&trip, NULL);
  if (!connect(far, (struct sockaddr *)&address, sizeof address)) {
    prepare(near), prepare(far);
    carry(near, far);
  }
  close(near), close(far);
  return NULL;
}

int main(int argc, char **argv) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  if (argc != 3) return 2;
  signal(SIGPIPE, SIG_IGN);
  port = atoi(argv[1]), delay = atof(argv[2]) / 1e3;
  if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) {
    perror("delay");
    return 1;
  }
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    pthread_t thread;
    if (fd < 0) continue;
    if (pthread_create(&thread, NULL, serve, (void *)(long)fd)) close(fd);
    else pthread_detach(thread);
  }
}
