/* The far service and the load of the benchmarks: in C, so that neither is what is measured.
 *
 *   load serve                      listens on a free loopback port, prints it, serves for ever
 *   load down PORT BYTES STREAMS    so many bytes from the service, shared among the streams
 *   load up PORT BYTES STREAMS      so many bytes to it
 *   load ping PORT COUNT            one byte there and back, so many times on one connection
 *   load connect PORT COUNT PARALLEL BYTES   so many connections, each fetching so many bytes
 *
 * A client prints one line: seconds, then the 50th and 99th percentile in microseconds (of pings
 * and connections), then errors. A request is 16 bytes: an operation and a decimal count.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 256 * 1024, REQUEST = 16 };

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

static void ping(int count) {
  char byte = 'x';
  int fd = dial('e', 0);
  for (int i = 0; i < count; i++) {
    double begin = now();
    if (fd < 0 || write_all(fd, &byte, 1) || read_all(fd, &byte, 1)) errors++;
    times[i] = now() - begin;
    if (errors) break;
  }
  if (fd >= 0) close(fd);
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
  port = atoi(argv[2]);
  if (is_ping) {
    rounds = atoi(argv[3]);
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
    ping(rounds);
  } else {
    for (int i = 0; i < parallel; i++) pthread_create(&threads[i], NULL, work, NULL);
    for (int i = 0; i < parallel; i++) pthread_join(threads[i], NULL);
  }
  double seconds = now() - begin;
  qsort(times, rounds, sizeof *times, by_size);
  printf("%.6f %.1f %.1f %d\n", seconds, times[rounds / 2] * 1e6, times[rounds * 99 / 100] * 1e6,
         errors);
  return 0;
}
