/* The polling of bench/poll.py, written on libmodbus: the yardstick that is not Python.
 *
 * Usage: libmodbus_client one|all READINGS LAYOUT ADDRESSES PORT...
 *
 * LAYOUT is a file with a line "TYPE OFFSET SCALE" for each metric of a block of 125 registers
 * (TYPE: f, i, u, h, t or q for FLOAT32, INT32, UINT32, INT16, UINT16, UINT64); ADDRESSES holds the
 * blocks of a reading, such as 0,200. "one" reads one meter after the other with
 * modbus_read_registers, the way that libmodbus documents; "all" sends a block's request to all
 * meters before it takes the first answer.
 * Prints the CPU seconds of the readings without the connecting, the requests, and the sum of the
 * last reading's values as a proof of the work. */
#include <errno.h>
#include <math.h>
#include <modbus.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { BLOCK = 125, MAX_METERS = 1020, MAX_METRICS = 64, MAX_BLOCKS = 16 };

struct metric {
    char type;
    int offset;
    double scale;
};

static struct metric layout[MAX_METRICS];
static int metrics, blocks, addresses[MAX_BLOCKS], meters;
static modbus_t *contexts[MAX_METERS];
static double sink[MAX_METERS][MAX_BLOCKS * MAX_METRICS];

static void die(const char *what) {
    fprintf(stderr, "%s: %s\n", what, modbus_strerror(errno));
    exit(1);
}

static double decode(const struct metric *metric, const uint16_t *words) {
    const uint16_t *at = words + metric->offset;
    uint32_t pair = (uint32_t)at[0] << 16 | at[1];
    float real;
    switch (metric->type) {
    case 'f':
        memcpy(&real, &pair, sizeof real);
        return (double)real * metric->scale;
    case 'i': return (int32_t)pair * metric->scale;
    case 'u': return pair * metric->scale;
    case 'h': return (int16_t)at[0] * metric->scale;
    case 't': return at[0] * metric->scale;
    default: return (double)((uint64_t)pair << 32 | (uint32_t)at[2] << 16 | at[3]) * metric->scale;
    }
}

static void keep(int meter, int block, const uint16_t *words) {
    for (int i = 0; i < metrics; i++) {
        double value = decode(&layout[i], words);
        sink[meter][block * metrics + i] = isfinite(value) ? value : 0.0;
    }
}

static void read_one_by_one(void) {
    uint16_t words[BLOCK];
    for (int meter = 0; meter < meters; meter++)
        for (int block = 0; block < blocks; block++) {
            if (modbus_read_registers(contexts[meter], addresses[block], BLOCK, words) != BLOCK)
                die("modbus_read_registers");
            keep(meter, block, words);
        }
}

static void read_all_at_once(void) {
    uint8_t answer[MODBUS_TCP_MAX_ADU_LENGTH];
    uint16_t words[BLOCK];
    for (int block = 0; block < blocks; block++) {
        uint8_t high = (uint8_t)(addresses[block] >> 8), low = (uint8_t)addresses[block];
        uint8_t request[] = {1, MODBUS_FC_READ_HOLDING_REGISTERS, high, low, 0, BLOCK};
        for (int meter = 0; meter < meters; meter++)
            if (modbus_send_raw_request(contexts[meter], request, sizeof request) < 0)
                die("modbus_send_raw_request");
        for (int meter = 0; meter < meters; meter++) {
            int length = modbus_receive_confirmation(contexts[meter], answer);
            if (length != 9 + 2 * BLOCK || answer[7] != MODBUS_FC_READ_HOLDING_REGISTERS)
                die("modbus_receive_confirmation");
            for (int i = 0; i < BLOCK; i++)
                words[i] = (uint16_t)(answer[9 + 2 * i] << 8 | answer[10 + 2 * i]);
            keep(meter, block, words);
        }
    }
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static double wall_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void load_layout(const char *path) {
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    struct metric *next = layout;
    while (metrics < MAX_METRICS &&
           fscanf(file, " %c %d %lf", &next->type, &next->offset, &next->scale) == 3)
        next = layout + ++metrics;
    fclose(file);
}

static void connect_all(int count, char **ports) {
    for (meters = 0; meters < count; meters++) {
        contexts[meters] = modbus_new_tcp("127.0.0.1", atoi(ports[meters]));
        if (!contexts[meters] || modbus_connect(contexts[meters])) die("modbus_connect");
        modbus_set_slave(contexts[meters], 1);
        modbus_set_response_timeout(contexts[meters], 3, 0);
    }
}

int main(int argc, char **argv) {
    /* libmodbus waits with select(), which knows descriptors below 1024 only. */
    if (argc < 6 || argc - 5 > MAX_METERS)
        return fprintf(stderr, "usage: %s one|all READINGS LAYOUT ADDRESSES PORT...\n", argv[0]), 2;
    void (*read_meters)(void) = strcmp(argv[1], "all") ? read_one_by_one : read_all_at_once;
    int readings = atoi(argv[2]);
    load_layout(argv[3]);
    for (char *part = strtok(argv[4], ","); part && blocks < MAX_BLOCKS; part = strtok(NULL, ","))
        addresses[blocks++] = atoi(part);
    connect_all(argc - 5, argv + 5);
    read_meters();
    double cpu = cpu_seconds(), wall = wall_seconds(), sum = 0;
    for (int i = 0; i < readings; i++) read_meters();
    cpu = cpu_seconds() - cpu;
    wall = wall_seconds() - wall;
    for (int i = 0; i < blocks * metrics; i++) sum += sink[meters - 1][i];
    printf("{\"cpu_s\": %.6f, \"wall_s\": %.6f, \"requests\": %ld, \"sum\": %.17g}\n", cpu, wall,
           (long)readings * meters * blocks, sum);
    return 0;
}
