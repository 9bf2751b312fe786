/*
 * Which paths does the receiving router hold, and is that exactly what the nodes announce?
 *
 * A path is a (path identifier, prefix) pair; its value is the node that its NEXT_HOP names. Without ADD-PATH the number
 * of the line stands for the identifier, and the router should hold one path of each prefix on each line, no next hop
 * twice: which ones, is not said. One hash table
 * holds the pairs; beside it stands, per (node, prefix), how many paths are held and whether one is wanted.
 * `wrong` counts the cells where the two differ, so that "exactly the table" is one comparison, however large it is.
 */
#ifndef BENCH_PATHS_H
#define BENCH_PATHS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY UINT32_MAX

struct slot {
    uint64_t key;  /* path identifier << 32 | prefix index */
    uint32_t node; /* NOBODY: the slot is empty */
};

struct paths {
    struct slot *slots;
    uint64_t mask;
    uint32_t nodes, prefixes;
    uint8_t *held, *wanted;
    uint64_t size;     /* paths held */
    uint64_t expected; /* paths wanted */
    uint64_t wrong;    /* cells with another number of paths than wanted */
    uint64_t doubled;  /* cells with more than one path: two lines with the same next hop */
    uint64_t changes;  /* since the start */
    uint64_t moves;    /* paths that went to another node or were taken away, since the start */
};

static uint64_t paths_hash(uint64_t key) {
    key ^= key >> 32;
    key *= 0x9E3779B97F4A7C15ull;
    return key ^ (key >> 29);
}

static void paths_init(struct paths *t, uint32_t nodes, uint32_t prefixes) {
    uint64_t capacity = 1024;
    while (capacity < 2 * (uint64_t)nodes * prefixes)
        capacity *= 2;
    memset(t, 0, sizeof *t);
    t->nodes = nodes;
    t->prefixes = prefixes;
    t->mask = capacity - 1;
    t->slots = malloc(capacity * sizeof *t->slots);
    t->held = calloc((size_t)nodes * prefixes, 1);
    t->wanted = calloc((size_t)nodes * prefixes, 1);
    if (!t->slots || !t->held || !t->wanted)
        abort();
    /* Also touches every page, so that no measurement pays for page faults of the harness. */
    for (uint64_t i = 0; i < capacity; i++)
        t->slots[i] = (struct slot){0, NOBODY};
}

static void paths_cell(struct paths *t, uint32_t node, uint32_t prefix, int held, int wanted) {
    size_t cell = (size_t)node * t->prefixes + prefix;
    t->wrong -= t->held[cell] != t->wanted[cell];
    t->doubled -= t->held[cell] > 1;
    t->expected += wanted;
    t->held[cell] += held;
    t->wanted[cell] += wanted;
    t->wrong += t->held[cell] != t->wanted[cell];
    t->doubled += t->held[cell] > 1;
}

static void paths_want(struct paths *t, uint32_t node, uint32_t prefix, bool wanted) {
    int now = t->wanted[(size_t)node * t->prefixes + prefix];
    if (now != wanted)
        paths_cell(t, node, prefix, 0, wanted - now);
}

static void paths_add(struct paths *t, uint32_t id, uint32_t prefix, uint32_t node) {
    uint64_t key = (uint64_t)id << 32 | prefix;
    uint64_t i = paths_hash(key) & t->mask;
    while (t->slots[i].node != NOBODY && t->slots[i].key != key)
        i = (i + 1) & t->mask;
    if (t->slots[i].node == node)
        return;
    t->changes++;
    t->moves += t->slots[i].node != NOBODY;
    if (t->slots[i].node != NOBODY)
        paths_cell(t, t->slots[i].node, prefix, -1, 0);
    else if (++t->size > t->mask)
        abort(); /* twice the wanted paths: the reflector invents some */
    t->slots[i] = (struct slot){key, node};
    paths_cell(t, node, prefix, 1, 0);
}

/* Removal moves later slots of the same run back, so that look-up never meets a tombstone (Knuth 6.4, R). */
static void paths_remove(struct paths *t, uint32_t id, uint32_t prefix) {
    uint64_t key = (uint64_t)id << 32 | prefix;
    uint64_t i = paths_hash(key) & t->mask;
    while (t->slots[i].node != NOBODY && t->slots[i].key != key)
        i = (i + 1) & t->mask;
    if (t->slots[i].node == NOBODY)
        return;
    t->changes++;
    t->moves++;
    paths_cell(t, t->slots[i].node, prefix, -1, 0);
    t->size--;
    for (uint64_t j = i;;) {
        j = (j + 1) & t->mask;
        if (t->slots[j].node == NOBODY)
            break;
        uint64_t home = paths_hash(t->slots[j].key) & t->mask;
        if (((j - home) & t->mask) >= ((j - i) & t->mask)) {
            t->slots[i] = t->slots[j];
            i = j;
        }
    }
    t->slots[i].node = NOBODY;
}

/* What a router does when its session ends: it forgets all that it learned from it. */
static void paths_clear(struct paths *t) {
    for (uint64_t i = 0; i <= t->mask; i++)
        t->slots[i].node = NOBODY;
    memset(t->held, 0, (size_t)t->nodes * t->prefixes);
    t->size = t->doubled = 0;
    t->wrong = t->expected;
}

#endif
