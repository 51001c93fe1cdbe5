/* The far service and the load of the benchmarks: in C, so that neither is what is measured.
 *
 *   load serve                      listens on a free loopback port, prints it, serves for ever
 *   load down PORT BYTES STREAMS    so many bytes from the service, shared among the streams
 *   load up PORT BYTES STREAMS      so many bytes to it
 *   load ping PORT COUNT SIZE       so many bytes there and back, so many times on one connection
 *   load beside-down PORT COUNT     one byte there and back, beside a download that does not end
 *   load beside-up PORT COUNT       the same beside an upload
 *   load connect PORT COUNT PARALLEL BYTES   so many connections, each fetching so many bytes
 *
 * A client prints one line: seconds, then the 50th and 99th percentile in microseconds (of pings
 * and connections), then errors, then the bytes that were moved beside the pings. A request is 16
 * bytes: an operation and a decimal count.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, REQUEST = 16 };
static const long long ENDLESS = 100000000000000, FLOWS = 20000000; /* bytes */

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static int write_all(int fd, const char *data, size_t size) {
  while (size) {
    ssize_t n = write(fd, data, size);
    if (n <= 0) return -1;
    data += n, size -= n;
  }
  return 0;
}

static int read_all(int fd, char *data, size_t size) {
  while (size) {
    ssize_t n = read(fd, data, size);
    if (n <= 0) return -1;
    data += n, size -= n;
  }
  return 0;
}

static int send_bytes(int fd, char *buffer, long long left) {
  while (left > 0) {
    size_t size = left < CHUNK ? (size_t)left : CHUNK;
    if (write_all(fd, buffer, size)) return -1;
    left -= size;
  }
  return 0;
}

static int take_bytes(int fd, char *buffer, long long left) {
  while (left > 0) {
    ssize_t n = read(fd, buffer, left < CHUNK ? (size_t)left : CHUNK);
    if (n <= 0) return -1;
    left -= n;
  }
  return 0;
}

static void no_delay(int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void *serve_one(void *argument) {
  int fd = (int)(long)argument;
  char request[REQUEST + 1] = {0}, *buffer = calloc(1, CHUNK);
  no_delay(fd);
  if (!read_all(fd, request, REQUEST)) {
    long long count = atoll(request + 1);
    if (request[0] == 'd') send_bytes(fd, buffer, count);
    if (request[0] == 'u' && !take_bytes(fd, buffer, count)) write_all(fd, "!", 1);
    if (request[0] == 'e')
      for (ssize_t n; (n = read(fd, buffer, CHUNK)) > 0;)
        if (write_all(fd, buffer, n)) break;
  }
  close(fd);
  free(buffer);
  return NULL;
}

static void serve(void) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t size = sizeof address;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  bind(listener, (struct sockaddr *)&address, size);
  listen(listener, 1024);
  getsockname(listener, (struct sockaddr *)&address, &size);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    pthread_t thread;
    if (fd < 0) continue;
    if (pthread_create(&thread, NULL, serve_one, (void *)(long)fd)) close(fd);
    else pthread_detach(thread);
  }
}

static int port;
static long long share;
static int operation, rounds;
static int errors;
static double *times;
static int next_round;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int dial(int op, long long count) {
  struct sockaddr_in address = {.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  struct timeval limit = {.tv_sec = 60};
  char request[REQUEST + 1];
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  no_delay(fd);
  snprintf(request, sizeof request, "%c%-15lld", op, count);
  if (connect(fd, (struct sockaddr *)&address, sizeof address) || write_all(fd, request, REQUEST)) {
    close(fd);
    return -1;
  }
  return fd;
}

static int transfer(int op, long long count, char *buffer) {
  int fd = dial(op, count);
  int bad = fd < 0 || (op == 'd' ? take_bytes(fd, buffer, count)
                                 : send_bytes(fd, buffer, count) || read_all(fd, buffer, 1));
  if (fd >= 0) close(fd);
  return bad;
}

static void *work(void *unused) {
  char *buffer = calloc(1, CHUNK);
  for (;;) {
    pthread_mutex_lock(&lock);
    int round = next_round++;
    pthread_mutex_unlock(&lock);
    if (round >= rounds) break;
    double begin = now();
    int bad = transfer(operation, share, buffer);
    pthread_mutex_lock(&lock);
    errors += bad != 0;
    times[round] = now() - begin;
    pthread_mutex_unlock(&lock);
  }
  free(buffer);
  return unused;
}

static void ping(int count, int size) {
  char *bytes = calloc(1, size);
  int fd = dial('e', 0);
  for (int i = 0; i < count; i++) {
    double begin = now();
    if (fd < 0 || write_all(fd, bytes, size) || read_all(fd, bytes, size)) errors++;
    times[i] = now() - begin;
    if (errors) break;
  }
  if (fd >= 0) close(fd);
  free(bytes);
}

static atomic_llong moved;
static atomic_int ended;

/* Moves bytes until its socket is shut down. */
static void *bulk(void *argument) {
  int fd = (int)(long)argument;
  char *buffer = calloc(1, CHUNK);
  for (ssize_t n;;) {
    n = operation == 'd' ? read(fd, buffer, CHUNK) : send(fd, buffer, CHUNK, 0);
    if (n <= 0) break;
    moved += n;
  }
  ended = 1;
  free(buffer);
  return NULL;
}

/* Returns the bytes that the bulk moved while the pings went to and fro. */
static long long ping_beside_bulk(int count) {
  pthread_t thread;
  int fd = dial(operation, ENDLESS);
  if (fd < 0 || pthread_create(&thread, NULL, bulk, (void *)(long)fd)) return errors++, 0;
  while (moved < FLOWS && !ended) usleep(1000);
  long long before = moved;
  ping(count, 1);
  long long beside = moved - before;
  errors += ended;
  shutdown(fd, SHUT_RDWR);
  pthread_join(thread, NULL);
  close(fd);
  return beside;
}

static int by_size(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 2 && !strcmp(argv[1], "serve")) serve();
  if (argc < 4) return 2;
  int parallel = 1, is_ping = !strcmp(argv[1], "ping");
  int is_beside = !strncmp(argv[1], "beside-", 7);
  long long beside = 0;
  port = atoi(argv[2]);
  if (is_ping && argc == 5) {
    rounds = atoi(argv[3]);
  } else if (is_beside && argc == 4) {
    operation = argv[1][7], rounds = atoi(argv[3]);
  } else if (!strcmp(argv[1], "connect") && argc == 6) {
    operation = 'd', rounds = atoi(argv[3]), parallel = atoi(argv[4]), share = atoll(argv[5]);
  } else if (argc == 5) {
    rounds = parallel = atoi(argv[4]);
    operation = argv[1][0], share = atoll(argv[3]) / rounds;
  } else {
    return 2;
  }
  times = calloc(rounds, sizeof *times);
  pthread_t threads[256];
  double begin = now();
  if (is_ping) {
    ping(rounds, atoi(argv[4]));
  } else if (is_beside) {
    beside = ping_beside_bulk(rounds);
  } else {
    for (int i = 0; i < parallel; i++) pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < parallel; i++) pthread_join(threads[i], NULL);
  }
  double seconds = now() - begin;
  qsort(times, rounds, sizeof *times, by_size);
  printf("%.6f %.1f %.1f %d %lld\n", seconds, times[rounds / 2] * 1e6,
         times[rounds * 99 / 100] * 1e6, errors, beside);
  return 0;
}
