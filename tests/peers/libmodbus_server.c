/* A Modbus TCP server on libmodbus that holds what standard input says, for reading it with EMDC.
 *
 * Input, one a line: <function code 1-4> <address> <number>; then a line "serve".
 * Prints the port that the system gave it, then answers one client after the other until killed.
 */
#include <arpa/inet.h>
#include <modbus.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CELLS = 512 };

static int fill(modbus_mapping_t *map)
{
    int code, address, number;

    while (scanf("%d %d %d", &code, &address, &number) == 3) {
        if (address < 0 || address >= CELLS)
            return -1;
        switch (code) {
        case 1: map->tab_bits[address] = (uint8_t) number; break;
        case 2: map->tab_input_bits[address] = (uint8_t) number; break;
        case 3: map->tab_registers[address] = (uint16_t) number; break;
        case 4: map->tab_input_registers[address] = (uint16_t) number; break;
        default: return -1;
        }
    }
    return 0;
}

static int port_of(int listener)
{
    struct sockaddr_in address;
    socklen_t size = sizeof address;

    if (getsockname(listener, (struct sockaddr *) &address, &size) < 0)
        return -1;
    return ntohs(address.sin_port);
}

int main(void)
{
    modbus_t *context = modbus_new_tcp("127.0.0.1", 0);
    modbus_mapping_t *map = modbus_mapping_new(CELLS, CELLS, CELLS, CELLS);
    uint8_t request[MODBUS_TCP_MAX_ADU_LENGTH];
    int listener, size;

    if (context == NULL || map == NULL || fill(map) < 0)
        return 2;
    listener = modbus_tcp_listen(context, 1);
    if (listener < 0)
        return 3;
    printf("%d\n", port_of(listener));
    fflush(stdout);
    for (;;) {
        if (modbus_tcp_accept(context, &listener) < 0)
            return 4;
        while ((size = modbus_receive(context, request)) >= 0)
            if (size > 0)
                modbus_reply(context, request, size, map);
        modbus_close(context);
    }
}
