/* The messages that nodes and router send, byte for byte as MetalLB's native mode makes them. */
#ifndef BENCH_MESSAGES_H
#define BENCH_MESSAGES_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define HOLD_SECONDS 90
#define NODE_BASE 0x0A010001u   /* 10.1.0.1: the first node */
#define PREFIX_BASE 0xAC100000u /* 172.16.0.0/32: the first prefix */

enum { OPEN = 1, UPDATE = 2, NOTIFICATION = 3, KEEPALIVE = 4, ROUTE_REFRESH = 5 };
enum role { NODE, ROUTER, SINK };

static uint8_t *header(uint8_t *at, uint16_t length, uint8_t type) {
    memset(at, 0xff, 16);
    at[16] = length >> 8;
    at[17] = length;
    at[18] = type;
    return at + 19;
}

static void put32(uint8_t *at, uint32_t value) {
    value = htonl(value);
    memcpy(at, &value, 4);
}

static uint32_t get32(const uint8_t *at) {
    uint32_t value;
    memcpy(&value, at, 4);
    return ntohl(value);
}

static size_t make_open(uint8_t *at, enum role role, bool add_path, uint16_t asn, uint32_t id) {
    /* The last four octets of AS4 are filled in below. Only the router has ROUTE-REFRESH, and ADD-PATH (receive) if so
       asked. */
    static const uint8_t of_node[] = {1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1, 65, 4, 0, 0, 0, 0};
    static const uint8_t of_router[] = {1, 4, 0, 1, 0, 1, 2, 0, 69, 4, 0, 1, 1, 1, 65, 4, 0, 0, 0, 0};
    static const uint8_t of_plain_router[] = {1, 4, 0, 1, 0, 1, 2, 0, 65, 4, 0, 0, 0, 0};
    const uint8_t *capabilities = role != ROUTER ? of_node : add_path ? of_router : of_plain_router;
    uint8_t size = role != ROUTER ? sizeof of_node : add_path ? sizeof of_router : sizeof of_plain_router;
    uint8_t *body = header(at, 19 + 10 + 2 + size, OPEN);
    body[0] = 4;
    body[1] = asn >> 8;
    body[2] = asn;
    body[3] = 0;
    body[4] = HOLD_SECONDS;
    put32(body + 5, id);
    body[9] = 2 + size;
    body[10] = 2;
    body[11] = size;
    memcpy(body + 12, capabilities, size);
    put32(body + 12 + size - 4, asn);
    return 31 + size;
}

static size_t make_update(uint8_t *at, uint32_t node, uint32_t prefix) {
    static const uint8_t attributes[] = {0x40, 1, 1, 2, 0x40, 2, 0, 0x40, 3, 4, 0, 0, 0, 0, 0x40, 5, 4, 0, 0, 0, 0};
    size_t size = 19 + 4 + sizeof attributes + 5;
    uint8_t *body = header(at, size, UPDATE);
    body[0] = body[1] = body[2] = 0;
    body[3] = sizeof attributes;
    memcpy(body + 4, attributes, sizeof attributes);
    put32(body + 4 + 10, NODE_BASE + node);
    body[4 + sizeof attributes] = 32;
    put32(body + 5 + sizeof attributes, PREFIX_BASE + prefix);
    return size;
}

static size_t make_withdrawal(uint8_t *at, uint32_t prefix) {
    uint8_t *body = header(at, 28, UPDATE);
    body[0] = 0;
    body[1] = 5;
    body[2] = 32;
    put32(body + 3, PREFIX_BASE + prefix);
    body[7] = body[8] = 0;
    return 28;
}

#endif
