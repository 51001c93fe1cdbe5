/* Stands in for the browser: notes when it started, and when the page's first byte came.
 *
 *   browser LOG ADDRESS
 *
 * It appends one line to LOG: both moments in seconds of CLOCK_MONOTONIC (Python's time.monotonic),
 * and the status of the answer. ADDRESS is http, or a file that redirects to such a page. While
 * nobody listens there, it tries again, so that it may be started before `ssh -L` is ready.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { TEXT = 8192, LIMIT = 60 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

/* The address that a page redirects to (`<meta http-equiv="refresh" content="0;url=…">`). */
static void follow(char *address) {
  char page[TEXT] = {0}, *begin, *end, *amp;
  int fd = open(address + strlen("file://"), O_RDONLY);
  if (fd < 0 || read(fd, page, TEXT - 1) < 0) return;
  close(fd);
  if (!(begin = strstr(page, ";url=")) || !(end = strchr(begin += 5, '"'))) return;
  *end = 0;
  while ((amp = strstr(begin, "&amp;"))) memmove(amp + 1, amp + 5, strlen(amp + 5) + 1);
  strcpy(address, begin);
}

/* A host that is no address is this machine. */
static int dial(const char *host, int port, double until) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct timeval limit = {.tv_sec = LIMIT};
  if (inet_pton(AF_INET, host, &address.sin_addr) != 1)
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  while (now() < until) {
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (!connect(fd, (struct sockaddr *)&address, sizeof address)) return fd;
    close(fd);
    usleep(500);
  }
  return -1;
}

int main(int argc, char **argv) {
  double begin = now(), first = 0;
  char address[TEXT] = {0}, request[TEXT + 256], answer[64] = {0}, host[256], path[TEXT] = "";
  int port, status = 0;
  if (argc != 3) return 2;
  strncpy(address, argv[2], TEXT - 1);
  if (!strncmp(address, "file://", 7)) follow(address);
  if (sscanf(address, "http://%255[^:]:%d%8191s", host, &port, path) >= 2) {
    int fd = dial(host, port, begin + LIMIT);
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nAccept: text/html\r\n"
                        "Connection: close\r\n\r\n",
                        *path ? path : "/", host, port);
    if (fd >= 0 && write(fd, request, size) == size && read(fd, answer, sizeof answer - 1) > 0)
      first = now(), sscanf(answer, "HTTP/%*s %d", &status);
  }
  int log = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0600);
  dprintf(log, "%.6f %.6f %d\n", begin, first, status);
  return 0;
}
