/*
 * The nodes' speakers and the receiving router of the benchmark, in one thread, around one epoll.
 *
 * It reads commands on stdin, one a line, each with a deadline in seconds before it ("10 router up"), and answers
 * each with one JSON object a line on stdout. Between commands it keeps its sessions alive. It dials; the reflector
 * under measurement only listens.
 *
 *   router up                    the router dials; answer once its session is Established
 *   router up plain LINES        the same without ADD-PATH, over so many sessions, to as many addresses of the reflector
 *   nodes up FROM TO WINDOW      nodes dial, at most WINDOW at a time; answer once all are Established
 *   announce FROM TO             those nodes write all their UPDATEs; answer once the router holds exactly them
 *   settle FROM TO MILLISECONDS  the same, but until also nothing has changed for so long; `ms` ends with the last change
 *   die NODE                     the node's TCP ends; answer once the router has lost exactly its paths
 *   one COUNT MILLISECONDS       one new prefix, then its withdrawal, until COUNT or the time is used up
 *   router restart               the router's TCP ends and it dials again; answer once it has the whole table
 *   reconnect                    every node's TCP ends and all dial at once; answer once all are Established
 *   rest MILLISECONDS            only keep the sessions alive
 *
 * A node is MetalLB in native mode, byte for byte: its OPEN (MP-IPv4, MP-IPv6, AS4; hold time 90 s), one prefix per
 * UPDATE, ORIGIN incomplete, an empty AS_PATH, NEXT_HOP itself, LOCAL_PREF 0. The one liberty: UPDATEs ready at the
 * same moment leave in one write, where MetalLB makes one each; otherwise the nodes' system calls would be measured.
 * With --straight the nodes dial the receiver itself, which shows how fast the harness is without any reflector.
 */
#define _GNU_SOURCE
#include "messages.h"
#include "paths.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MS 1000000ull
#define PATIENCE_SECONDS 10     /* MetalLB gives up a connection without the other's OPEN after this long */
#define EXTRA_PREFIXES 64       /* room for the prefixes of `one` */
#define NODE_BUFFER 8192
#define ROUTER_BUFFER (1 << 20)
#define MOST_SAMPLES 1000       /* of one command */
#define WRITES_PER_READ 4       /* while all nodes write, how often the router's sockets are emptied */
#define MOST_LINES 4
#define NEXT_LINE 0x100u        /* from one address of the reflector to the next: 10.255.0.1, 10.255.1.1 ... */

enum state { DOWN, WAITING, CONNECTING, OPENING, ESTABLISHED };

struct session {
    int fd;
    enum role role;
    enum state state;
    uint32_t node; /* index; for a SINK, the node that dialled; for the router, the line */
    uint64_t dial_at, give_up_at, keepalive_at, backoff;
    uint64_t opened; /* when its present connection sent its OPEN, ns */
    uint8_t *in;
    size_t in_size, in_capacity;
    const uint8_t *out; /* what the socket did not take yet */
    size_t out_size;
    uint8_t small[128]; /* OPEN and KEEPALIVE, when they have to wait */
};

static struct {
    struct in_addr reflector, router;
    uint16_t port, asn;
    uint32_t nodes, prefixes, sessions, lines;
    bool straight, add_path;
} conf = {.lines = 1, .add_path = true};

static struct session *sessions, *router; /* nodes, then the router's lines, then (--straight) the receiver's ends */
static uint8_t **updates;                 /* per node: all its UPDATEs, ready to write */
static size_t update_size;
static struct paths table;
static int poller, listener = -1;
static uint32_t established, dialling, window = 1;
static uint64_t lost, dials, strange, to_nodes;
static uint64_t last_change; /* of the router's table, ns */
static char last_reason[160] = "none";
static bool redialling; /* a session that ends while Established dials again, instead of counting as lost */

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "rig: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void reason(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(last_reason, sizeof last_reason, format, args);
    va_end(args);
}

static const char *name(const struct session *s) {
    static char text[32];
    if (s->role == NODE)
        snprintf(text, sizeof text, "node %u", s->node);
    return s->role == NODE ? text : s->role == ROUTER ? "router" : "receiver";
}

/* ---- sessions ------------------------------------------------------------------------------------------------ */

static void watch(struct session *s, uint32_t events, int operation) {
    struct epoll_event event = {.events = events, .data.ptr = s};
    if (epoll_ctl(poller, operation, s->fd, &event) < 0)
        die("epoll_ctl");
}

static void hang_up(struct session *s) {
    if (s->fd >= 0)
        close(s->fd);
    if (s->state == ESTABLISHED && s->role != SINK)
        established--;
    if (s->role == NODE && (s->state == CONNECTING || s->state == OPENING))
        dialling--;
    s->fd = -1;
    s->state = DOWN;
    s->in_size = s->out_size = 0;
}

/* The connection ended without our wish: an Established session is lost for good, a younger one dials again. */
static void broken(struct session *s, const char *what) {
    enum state was = s->state;
    if (!(was == ESTABLISHED && s->role == SINK))
        reason("%s: %s", name(s), what);
    hang_up(s);
    if (s->role == SINK)
        return;
    if (was == ESTABLISHED && !redialling) {
        lost++;
        return;
    }
    s->state = WAITING;
    s->backoff = s->backoff ? s->backoff * 2 : 10 * MS;
    if (s->backoff > 1000 * MS)
        s->backoff = 1000 * MS;
    s->dial_at = now_ns() + s->backoff;
}

static void flush_out(struct session *s) {
    while (s->out_size) {
        ssize_t n = write(s->fd, s->out, s->out_size);
        if (n < 0 && errno == EAGAIN) {
            watch(s, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
            return;
        }
        if (n < 0) {
            broken(s, strerror(errno));
            return;
        }
        s->out += n;
        s->out_size -= n;
    }
}

static void send_bytes(struct session *s, const uint8_t *bytes, size_t size) {
    if (s->out_size || s->fd < 0)
        return; /* only a keepalive can meet this, and the bytes before it serve as well */
    s->out = bytes;
    s->out_size = size;
    flush_out(s);
}

static void send_open(struct session *s) {
    s->opened = now_ns();
    s->state = OPENING;
    uint32_t id = s->role == NODE ? NODE_BASE + s->node : ntohl(conf.router.s_addr);
    send_bytes(s, s->small, make_open(s->small, s->role, conf.add_path, conf.asn, id));
}

static void send_keepalive(struct session *s) {
    if (s->out_size)
        return;
    header(s->small, 19, KEEPALIVE);
    send_bytes(s, s->small, 19);
}

static void tune(int fd, enum role role) {
    int on = 1, size = 16 << 20;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (role == ROUTER) /* a router that never makes the reflector wait; needs root, and is a nicety */
        setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
}

static void dial(struct session *s) {
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_addr = conf.reflector};
    to.sin_port = htons(conf.port);
    if (s->role == ROUTER)
        to.sin_addr.s_addr = htonl(ntohl(conf.reflector.s_addr) + s->node * NEXT_LINE);
    from.sin_addr.s_addr = s->role == ROUTER ? conf.router.s_addr : htonl(NODE_BASE + s->node);
    s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        die("socket");
    tune(s->fd, s->role);
    if (!conf.straight && bind(s->fd, (struct sockaddr *)&from, sizeof from) < 0)
        die("bind");
    dials++;
    if (s->role == NODE)
        dialling++;
    s->state = CONNECTING;
    s->give_up_at = now_ns() + PATIENCE_SECONDS * 1000 * MS;
    watch(s, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
    if (connect(s->fd, (struct sockaddr *)&to, sizeof to) < 0 && errno != EINPROGRESS)
        broken(s, strerror(errno));
}

/* ---- what a peer says ---------------------------------------------------------------------------------------- */

static void take_nlri(struct session *s, const uint8_t *at, const uint8_t *end, bool add, uint32_t next_hop) {
    bool add_path = s->role == ROUTER && conf.add_path;
    uint32_t node = next_hop - NODE_BASE;
    while (at + (add_path ? 9 : 5) <= end) {
        uint32_t id = s->node;
        if (add_path) {
            id = get32(at);
            at += 4;
        }
        uint32_t prefix = get32(at + 1) - PREFIX_BASE;
        if (at[0] != 32 || prefix >= table.prefixes || (add && node >= table.nodes)) {
            strange++;
            return;
        }
        if (add)
            paths_add(&table, id, prefix, node);
        else
            paths_remove(&table, id, prefix);
        at += 5;
    }
    strange += at != end;
}

static void take_update(struct session *s, const uint8_t *at, const uint8_t *end) {
    const uint8_t *withdrawn = at + 2, *attributes = withdrawn + (at[0] << 8 | at[1]) + 2;
    if (attributes > end) {
        strange++;
        return;
    }
    const uint8_t *nlri = attributes + (attributes[-2] << 8 | attributes[-1]);
    uint32_t next_hop = 0, originator = 0, clusters = 0;
    take_nlri(s, withdrawn, attributes - 2, false, 0);
    for (at = attributes; at + 3 <= nlri;) {
        uint32_t size = at[0] & 0x10 ? at[2] << 8 | at[3] : at[2];
        const uint8_t *value = at + (at[0] & 0x10 ? 4 : 3);
        if (value + size > nlri)
            break;
        if (at[1] == 3)
            next_hop = get32(value);
        else if (at[1] == 9)
            originator = get32(value);
        else if (at[1] == 10)
            clusters = size / 4;
        else if (at[1] == 14 && value[1] == 1) /* MP_REACH_NLRI, IPv4: next hop length, next hop, reserved */
            take_nlri(s, value + 5 + value[3], value + size, true, get32(value + 4));
        else if (at[1] == 15 && value[1] == 1)
            take_nlri(s, value + 3, value + size, false, 0);
        at = value + size;
    }
    /* RFC 4456 8: a reflected path tells who originated it (here, the node's address) and which cluster it crossed. */
    bool reflected = originator == next_hop && clusters == 1;
    if (nlri > end || at != nlri || (nlri < end && s->role == ROUTER && !reflected))
        strange++;
    else
        take_nlri(s, nlri, end, true, next_hop);
}

static void take_message(struct session *s, const uint8_t *message, uint32_t length) {
    char text[64];
    switch (message[18]) {
    case OPEN:
        if (s->role == SINK)
            send_open(s);
        send_keepalive(s);
        break;
    case KEEPALIVE:
        if (s->state != OPENING)
            break;
        s->state = ESTABLISHED;
        s->backoff = 0;
        /* A third of the hold time apart, and spread over it, as sessions that began at different times are. */
        s->keepalive_at = now_ns() + (1 + s->node % 29) * 1000 * MS;
        if (s->role == NODE)
            dialling--;
        if (s->role != SINK)
            established++;
        break;
    case UPDATE:
        if (s->role != NODE)
            take_update(s, message + 19, message + length);
        else
            to_nodes += length > 23; /* an End-of-RIB is 23 octets long */
        break;
    case NOTIFICATION:
        snprintf(text, sizeof text, "NOTIFICATION %u/%u", message[19], message[20]);
        broken(s, text);
        break;
    case ROUTE_REFRESH:
        break;
    default:
        strange++;
    }
}

static void receive(struct session *s) {
    uint64_t changes = table.changes;
    for (;;) {
        size_t room = s->in_capacity - s->in_size;
        ssize_t n = read(s->fd, s->in + s->in_size, room);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n <= 0) {
            broken(s, n ? strerror(errno) : "the reflector closed the connection");
            return;
        }
        s->in_size += n;
        size_t at = 0;
        while (s->in_size - at >= 19) {
            uint32_t length = s->in[at + 16] << 8 | s->in[at + 17];
            if (length < 19 || length > 4096) {
                broken(s, "a message of a wrong length");
                return;
            }
            if (s->in_size - at < length)
                break;
            take_message(s, s->in + at, length);
            if (s->fd < 0)
                return;
            at += length;
        }
        s->in_size -= at;
        memmove(s->in, s->in + at, s->in_size);
        if ((size_t)n < room)
            break;
    }
    if (s->role == ROUTER) {
        /* BIRD leaves Nagle's algorithm on: with a delayed acknowledgement, which Linux turns back on by itself, the
           second of two small writes waits 40 ms, now and then. That is not what is measured here. */
        int on = 1;
        setsockopt(s->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
    }
    if (table.changes != changes)
        last_change = now_ns();
}

static void on_event(struct session *s, uint32_t events) {
    if (s->fd < 0)
        return; /* ended by an earlier event of the same batch */
    if (s->state == CONNECTING && events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        int error = 0;
        socklen_t size = sizeof error;
        getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &size);
        if (error) {
            broken(s, strerror(error));
            return;
        }
        watch(s, EPOLLIN, EPOLL_CTL_MOD);
        send_open(s);
    } else if (events & EPOLLOUT && s->out_size) {
        watch(s, EPOLLIN, EPOLL_CTL_MOD);
        flush_out(s);
    }
    if (s->fd >= 0 && events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        receive(s);
}

static void accept_sink(void) {
    struct sockaddr_in peer;
    socklen_t size = sizeof peer;
    int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    for (uint32_t i = conf.nodes + MOST_LINES; fd >= 0 && i < conf.sessions; i++) {
        if (sessions[i].fd >= 0)
            continue;
        sessions[i].fd = fd;
        sessions[i].state = OPENING;
        tune(fd, SINK);
        watch(&sessions[i], EPOLLIN, EPOLL_CTL_ADD);
        return;
    }
    if (fd >= 0)
        close(fd);
}

/* ---- the loop ------------------------------------------------------------------------------------------------ */

static void housekeeping(uint64_t now) {
    for (uint32_t i = 0; i < conf.sessions; i++) {
        struct session *s = &sessions[i];
        if (s->state == WAITING && s->dial_at <= now && (s->role != NODE || dialling < window))
            dial(s);
        if ((s->state == CONNECTING || s->state == OPENING) && s->role != SINK && s->give_up_at <= now)
            broken(s, "no session within 10 s of dialling");
        if (s->state == ESTABLISHED && s->keepalive_at <= now) {
            s->keepalive_at = now + HOLD_SECONDS / 3 * 1000 * MS;
            send_keepalive(s);
        }
    }
}

/* Serves the sessions until `done` says so, or `deadline` (ns) has passed: then false. */
static bool serve(bool (*done)(void), uint64_t deadline) {
    static uint64_t next_housekeeping;
    struct epoll_event events[128];
    for (;;) {
        if (done())
            return true;
        uint64_t now = now_ns();
        if (now >= deadline)
            return false;
        if (now >= next_housekeeping) {
            housekeeping(now);
            next_housekeeping = now + 2 * MS;
        }
        int n = epoll_wait(poller, events, 128, 2);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == &listener)
                accept_sink();
            else if (events[i].data.ptr)
                on_event(events[i].data.ptr, events[i].events);
        }
    }
}

/* What is lost or strange stays so: no need to wait for the deadline. */
static bool exact(void) {
    uint64_t wrong = conf.add_path ? table.wrong : table.doubled;
    return (wrong == 0 && table.size == table.expected) || lost || strange;
}

static uint64_t quiet;

static bool settled(void) {
    if (lost || strange)
        return true;
    if (!exact() || now_ns() < last_change + quiet)
        return false;
    for (uint32_t i = 0; i < conf.nodes; i++)
        if (sessions[i].out_size)
            return false;
    return true;
}

static uint32_t wanted_sessions;

static bool all_established(void) {
    return established == wanted_sessions || lost;
}

static bool router_established(void) {
    uint32_t up = 0;
    for (uint32_t line = 0; line < conf.lines; line++)
        up += router[line].state == ESTABLISHED;
    return up == conf.lines || lost;
}

static bool command_waiting(void) {
    struct timeval none = {0};
    fd_set set;
    FD_ZERO(&set);
    FD_SET(0, &set);
    return select(1, &set, NULL, NULL, &none) > 0;
}

static bool never(void) {
    return false;
}

/* ---- commands ------------------------------------------------------------------------------------------------ */

static void answer(bool ok, const char *format, ...) {
    va_list args;
    va_start(args, format);
    printf("{\"ok\": %s, ", ok && !lost && !strange ? "true" : "false");
    vprintf(format, args);
    printf(", \"paths\": %lu, \"expected\": %lu, \"wrong\": %lu, \"strange\": %lu, \"to_nodes\": %lu, \"lost\": %lu, "
           "\"established\": %u, \"dials\": %lu, \"last\": \"%s\"}\n",
           table.size, table.expected, conf.add_path ? table.wrong : table.doubled, strange, to_nodes, lost, established, dials, last_reason);
    fflush(stdout);
    va_end(args);
}

static void answer_ms(bool ok, uint64_t begun) {
    answer(ok, "\"ms\": %.3f", (now_ns() - begun) / 1e6);
}

static void begin_dialling(struct session *s) {
    s->state = WAITING;
    s->dial_at = s->backoff = 0;
}

static void nodes_up(uint32_t from, uint32_t to, uint32_t at_once, uint64_t deadline) {
    uint64_t begun = now_ns();
    window = at_once;
    for (uint32_t i = from; i < to; i++)
        begin_dialling(&sessions[i]);
    wanted_sessions = established + to - from;
    housekeeping(begun);
    bool ok = serve(all_established, deadline);
    answer_ms(ok, begun);
}

/* Those nodes write all they have; says when that began, ns. */
static uint64_t write_all(uint32_t from, uint32_t to) {
    for (uint32_t node = from; conf.add_path && node < to; node++)
        for (uint32_t prefix = 0; prefix < conf.prefixes; prefix++)
            paths_want(&table, node, prefix, true);
    if (!conf.add_path)
        table.expected = (uint64_t)conf.lines * conf.prefixes;
    uint64_t begun = now_ns();
    for (uint32_t node = from; node < to; node++) {
        send_bytes(&sessions[node], updates[node], update_size * conf.prefixes);
        for (uint32_t line = 0; node % WRITES_PER_READ == WRITES_PER_READ - 1 && line < conf.lines; line++)
            if (router[line].fd >= 0)
                receive(&router[line]);
    }
    return begun;
}

static void announce(uint32_t from, uint32_t to, uint64_t deadline) {
    uint64_t begun = write_all(from, to);
    bool ok = serve(exact, deadline);
    answer_ms(ok, begun);
}

static void settle(uint32_t from, uint32_t to, uint32_t milliseconds, uint64_t deadline) {
    uint64_t moves = table.moves, begun = write_all(from, to);
    quiet = milliseconds * MS;
    bool ok = serve(settled, deadline);
    answer(ok, "\"ms\": %.3f, \"moves\": %lu", (last_change - begun) / 1e6, table.moves - moves);
}

static void node_dies(uint32_t node, uint64_t deadline) {
    for (uint32_t prefix = 0; prefix < table.prefixes; prefix++)
        paths_want(&table, node, prefix, false);
    uint64_t begun = now_ns();
    hang_up(&sessions[node]);
    bool ok = serve(exact, deadline);
    answer_ms(ok, begun);
}

static void one_prefix(uint32_t count, uint64_t milliseconds, uint64_t deadline) {
    static double new_ms[MOST_SAMPLES], gone_ms[MOST_SAMPLES];
    uint8_t message[64];
    uint64_t start = now_ns();
    uint32_t done = 0;
    bool ok = true;
    for (; ok && done < count && done < MOST_SAMPLES && now_ns() - start < milliseconds * MS; done++) {
        uint32_t node = done % conf.nodes, prefix = conf.prefixes + done % EXTRA_PREFIXES;
        while (sessions[node].state != ESTABLISHED)
            node = (node + 1) % conf.nodes;
        serve(never, now_ns() + 2 * MS); /* each one meets a reflector at rest */
        size_t size = make_update(message, node, prefix);
        paths_want(&table, node, prefix, true);
        uint64_t begun = now_ns();
        send_bytes(&sessions[node], message, size);
        ok = serve(exact, deadline);
        new_ms[done] = (now_ns() - begun) / 1e6;
        serve(never, now_ns() + 2 * MS);
        size = make_withdrawal(message, prefix);
        paths_want(&table, node, prefix, false);
        begun = now_ns();
        send_bytes(&sessions[node], message, size);
        ok = ok && serve(exact, deadline);
        gone_ms[done] = (now_ns() - begun) / 1e6;
    }
    char text[MOST_SAMPLES * 32] = "", *at = text;
    for (uint32_t i = 0; i < done; i++)
        at += sprintf(at, "%s[%.4f, %.4f]", i ? ", " : "", new_ms[i], gone_ms[i]);
    answer(ok && done, "\"samples\": [%s]", text);
}

static void router_up(bool restart, uint64_t deadline) {
    redialling = true;
    for (uint32_t line = 0; line < MOST_LINES; line++)
        hang_up(&router[line]);
    paths_clear(&table);
    uint64_t begun = now_ns();
    for (uint32_t line = 0; line < conf.lines; line++) {
        begin_dialling(&router[line]);
        dial(&router[line]);
    }
    bool ok = serve(restart ? exact : router_established, deadline);
    uint64_t end = now_ns();
    redialling = false;
    answer(ok, "\"ms\": %.3f, \"from_open_ms\": %.3f", (end - begun) / 1e6, (end - router->opened) / 1e6);
}

static void reconnect(uint64_t deadline) {
    redialling = true;
    window = UINT32_MAX;
    wanted_sessions = established;
    for (uint32_t prefix = 0; prefix < table.prefixes; prefix++)
        for (uint32_t node = 0; node < table.nodes; node++)
            paths_want(&table, node, prefix, false);
    uint64_t before = dials, begun = now_ns();
    uint32_t nodes = 0;
    for (uint32_t i = 0; i < conf.nodes; i++)
        if (sessions[i].state == ESTABLISHED && ++nodes) {
            hang_up(&sessions[i]);
            begin_dialling(&sessions[i]);
        }
    for (uint32_t i = 0; i < conf.nodes; i++)
        if (sessions[i].state == WAITING)
            dial(&sessions[i]);
    bool ok = serve(all_established, deadline);
    redialling = false;
    answer(ok, "\"ms\": %.3f, \"nodes\": %u, \"extra_dials\": %lu", (now_ns() - begun) / 1e6, nodes,
           dials - before - nodes);
}

static void obey(char *line) {
    unsigned seconds, a, b, c;
    int at = 0;
    if (sscanf(line, "%u %n", &seconds, &at) < 1 || !at) {
        fprintf(stderr, "rig: a command begins with its deadline in seconds: %s", line);
        exit(2);
    }
    uint64_t deadline = now_ns() + seconds * 1000 * MS;
    line += at;
    if (sscanf(line, "nodes up %u %u %u", &a, &b, &c) == 3 && a <= b && b <= conf.nodes)
        nodes_up(a, b, c, deadline);
    else if (sscanf(line, "announce %u %u", &a, &b) == 2 && a <= b && b <= conf.nodes)
        announce(a, b, deadline);
    else if (sscanf(line, "settle %u %u %u", &a, &b, &c) == 3 && a <= b && b <= conf.nodes)
        settle(a, b, c, deadline);
    else if (sscanf(line, "die %u", &a) == 1 && a < conf.nodes)
        node_dies(a, deadline);
    else if (sscanf(line, "one %u %u", &a, &b) == 2)
        one_prefix(a, b, deadline);
    else if (sscanf(line, "rest %u", &a) == 1) {
        serve(never, now_ns() + a * MS);
        answer(true, "\"ms\": %u", a);
    } else if (sscanf(line, "router up plain %u", &a) == 1 && a && a <= MOST_LINES) {
        conf.lines = a;
        conf.add_path = false;
        router_up(false, deadline);
    } else if (!strncmp(line, "router up", 9) || !strncmp(line, "router restart", 14))
        router_up(line[7] == 'r', deadline);
    else if (!strncmp(line, "reconnect", 9))
        reconnect(deadline);
    else {
        fprintf(stderr, "rig: what is: %s", line);
        exit(2);
    }
}

/* ---- start --------------------------------------------------------------------------------------------------- */

static void prepare(void) {
    uint32_t receivers = conf.straight ? conf.nodes : 0;
    conf.sessions = conf.nodes + MOST_LINES + receivers;
    sessions = calloc(conf.sessions, sizeof *sessions);
    updates = calloc(conf.nodes, sizeof *updates);
    paths_init(&table, conf.nodes, conf.prefixes + EXTRA_PREFIXES);
    for (uint32_t i = 0; i < conf.sessions; i++) {
        struct session *s = &sessions[i];
        s->fd = -1;
        s->role = i < conf.nodes ? NODE : i < conf.nodes + MOST_LINES ? ROUTER : SINK;
        s->node = s->role == SINK ? i - conf.nodes - MOST_LINES : s->role == ROUTER ? i - conf.nodes : i;
        s->in_capacity = s->role == NODE ? NODE_BUFFER : s->role == ROUTER ? ROUTER_BUFFER : ROUTER_BUFFER / 8;
        s->in = malloc(s->in_capacity);
        memset(s->in, 0, s->in_capacity);
    }
    router = &sessions[conf.nodes];
    uint8_t message[64];
    update_size = make_update(message, 0, 0);
    for (uint32_t node = 0; node < conf.nodes; node++) {
        updates[node] = malloc(update_size * conf.prefixes + 1);
        for (uint32_t prefix = 0; prefix < conf.prefixes; prefix++)
            make_update(updates[node] + update_size * prefix, node, prefix);
    }
}

static void listen_straight(void) {
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof here;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = &listener};
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&here, size) < 0 || listen(listener, 4096) < 0)
        die("listen");
    getsockname(listener, (struct sockaddr *)&here, &size);
    conf.reflector = here.sin_addr;
    conf.port = ntohs(here.sin_port);
    if (epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event) < 0)
        die("epoll_ctl");
}

int main(int argc, char **argv) {
    if (argc != 7 && !(argc == 4 && !strcmp(argv[3], "--straight"))) {
        fprintf(stderr, "usage: rig NODES PREFIXES (--straight | REFLECTOR PORT ROUTER ASN)\n");
        return 2;
    }
    conf.nodes = atoi(argv[1]);
    conf.prefixes = atoi(argv[2]);
    conf.straight = argc == 4;
    conf.asn = conf.straight ? 64512 : atoi(argv[6]);
    if (!conf.straight) {
        conf.port = atoi(argv[4]);
        if (!inet_aton(argv[3], &conf.reflector) || !inet_aton(argv[5], &conf.router))
            return 2;
    }
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if ((poller = epoll_create1(EPOLL_CLOEXEC)) < 0)
        die("epoll_create1");
    prepare();
    if (conf.straight)
        listen_straight();
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &event) < 0)
        die("epoll_ctl stdin");
    setvbuf(stdin, NULL, _IONBF, 0); /* so that select() sees all that is unread */
    char line[256];
    while (serve(command_waiting, UINT64_MAX) && fgets(line, sizeof line, stdin))
        obey(line);
    return 0;
}
