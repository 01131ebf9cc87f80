/* A Modbus TCP server that costs next to nothing, so that a measurement sees its client.
 *
 * Usage: modbus_server IMAGE FIRST_METER EPOCH_MS PORT...
 *
 * Listens on every PORT of 127.0.0.1; the port at place i is meter FIRST_METER + i. Prints "ready"
 * when all ports listen, and ends with its parent or by a signal.
 * IMAGE is a file of 65536 big-endian registers, the same for all meters; or "-": then every four
 * registers from 4k on are one UINT64 that says where and when it was read:
 *     meter << 43 | k << 36 | microseconds since EPOCH_MS       (53 bits, exact in a double)
 * so that a value in a wrong place is seen, for 19 hours. Answers function codes 3 and 4.
 * Source: Modbus Messaging on TCP/IP V1.0b, section 3.1; Application Protocol V1.1b3, section 6.3. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 65536, HEADER = 7, IN_SIZE = 1024, MAX_ANSWER = 9 + 250, REGISTERS = 65536 };

struct peer {
    int meter;
    int listening;
    size_t held; /* bytes of an unfinished request */
    uint8_t in[IN_SIZE];
};

static struct peer *peers[MAX_FD];
static uint8_t image[REGISTERS * 2];
static int stamped;
static int64_t epoch_ms;

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void put16(uint8_t *at, unsigned value) {
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static unsigned get16(const uint8_t *at) { return (unsigned)at[0] << 8 | at[1]; }

static void put_stamps(uint8_t *out, int meter, unsigned address, unsigned count) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t us = (uint64_t)((now.tv_sec * 1000 - epoch_ms) * 1000 + now.tv_nsec / 1000);
    for (unsigned i = 0; i < count; i++) {
        uint64_t k = (address + i) / 4 & 127;
        uint64_t stamp = (uint64_t)meter << 43 | k << 36 | (us & ((UINT64_C(1) << 36) - 1));
        put16(out + 2 * i, (unsigned)(stamp >> (48 - 16 * ((address + i) % 4))) & 0xffff);
    }
}

/* Writes the answer to one request of `length` bytes; gives its length. */
static size_t answer(int meter, const uint8_t *request, uint8_t *out) {
    unsigned function = request[7], address = get16(request + 8), count = get16(request + 10);
    memcpy(out, request, HEADER + 1);
    int code = function != 3 && function != 4            ? 1
               : get16(request + 4) != 6 || !count || count > 125 ? 3
               : address + count > REGISTERS              ? 2
                                                          : 0;
    if (code) {
        put16(out + 4, 3);
        out[7] |= 0x80;
        out[8] = (uint8_t)code;
        return 9;
    }
    put16(out + 4, 3 + 2 * count);
    out[8] = (uint8_t)(2 * count);
    if (stamped)
        put_stamps(out + 9, meter, address, count);
    else
        memcpy(out + 9, image + 2 * address, 2 * count);
    return 9 + 2 * count;
}

static int send_all(int fd, const uint8_t *data, size_t length) {
    while (length) {
        ssize_t sent = send(fd, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EAGAIN) {
            struct pollfd one = {.fd = fd, .events = POLLOUT};
            if (poll(&one, 1, 1000) <= 0) return -1;
            continue;
        }
        if (sent < 0) return -1;
        data += sent;
        length -= (size_t)sent;
    }
    return 0;
}

/* Answers every whole request that is there, in one send; -1 when the peer is to be dropped. */
static int serve(int fd, struct peer *peer) {
    static uint8_t out[(IN_SIZE / 12 + 1) * MAX_ANSWER];
    ssize_t got = recv(fd, peer->in + peer->held, IN_SIZE - peer->held, 0);
    if (got < 0 && errno == EAGAIN) return 0;
    if (got <= 0) return -1;
    size_t length = peer->held + (size_t)got, at = 0, filled = 0;
    while (length - at >= 6) {
        size_t whole = 6 + get16(peer->in + at + 4);
        if (get16(peer->in + at + 2) != 0 || whole < 8 || whole > 260) return -1;
        if (length - at < whole) break;
        filled += answer(peer->meter, peer->in + at, out + filled);
        at += whole;
    }
    peer->held = length - at;
    memmove(peer->in, peer->in + at, peer->held);
    return send_all(fd, out, filled);
}

static void watch(int epoll, int fd, int meter, int listening) {
    if (fd >= MAX_FD) die("too many descriptors");
    struct peer *peer = calloc(1, sizeof *peer);
    if (!peer) die("calloc");
    peer->meter = meter;
    peer->listening = listening;
    peers[fd] = peer;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl");
}

static void open_port(int epoll, int port, int meter) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0) die("socket");
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) || listen(fd, 1024)) die("listen");
    watch(epoll, fd, meter, 1);
}

static void welcome(int epoll, int fd, int meter) {
    int on = 1, peer;
    while ((peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, peer, meter, 0);
    }
}

static void load_image(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file || fread(image, 1, sizeof image, file) != sizeof image) die(path);
    fclose(file);
}

int main(int argc, char **argv) {
    if (argc < 5) return fprintf(stderr, "usage: %s IMAGE FIRST_METER EPOCH_MS PORT...\n", argv[0]), 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    stamped = strcmp(argv[1], "-") == 0;
    if (!stamped) load_image(argv[1]);
    epoch_ms = atoll(argv[3]);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 4; i < argc; i++) open_port(epoll, atoi(argv[i]), atoi(argv[2]) + i - 4);
    puts("ready");
    fflush(stdout);
    for (;;) {
        struct epoll_event events[256];
        int ready = epoll_wait(epoll, events, 256, -1);
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            struct peer *peer = peers[fd];
            if (peer->listening) {
                welcome(epoll, fd, peer->meter);
            } else if (serve(fd, peer)) {
                close(fd);
                free(peer);
                peers[fd] = NULL;
            }
        }
    }
}
