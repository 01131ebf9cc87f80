// Reads what standard input describes with modbus-serial and prints the values as JSON.
// Input: {"port", "first", "count", "coils", "inputs", "places": [{"name", "code", "offset", "size", "type", "order"}]}
// Integers are printed as decimal text, because a JSON number keeps only 53 bits of them.
"use strict";

const ModbusRTU = require("modbus-serial");

const READERS = {
    UINT8: (b) => b.readUInt8(0),
    INT8: (b) => b.readInt8(0),
    UINT16: (b) => b.readUInt16BE(0),
    INT16: (b) => b.readInt16BE(0),
    UINT32: (b) => b.readUInt32BE(0),
    INT32: (b) => b.readInt32BE(0),
    UINT64: (b) => b.readBigUInt64BE(0),
    INT64: (b) => b.readBigInt64BE(0),
    FLOAT32: (b) => b.readFloatBE(0),
    FLOAT64: (b) => b.readDoubleBE(0),
    STRING: (b) => b.toString("ascii").replace(/\0+$/, ""),
};

function highWordFirst(buffer, place) {
    if (place.order === "big" || place.type === "STRING") return buffer;
    return Buffer.from(buffer).swap16().reverse();
}

async function main(input) {
    const client = new ModbusRTU();
    await client.connectTCP("127.0.0.1", { port: input.port });
    client.setID(1);
    client.setTimeout(10000);
    const tables = {
        3: (await client.readHoldingRegisters(input.first, input.count)).buffer,
        4: (await client.readInputRegisters(input.first, input.count)).buffer,
    };
    const values = {};
    for (const place of input.places) {
        const start = 2 * place.offset;
        const part = tables[place.code].subarray(start, start + 2 * place.size);
        values[place.name] = String(READERS[place.type](highWordFirst(part, place)));
    }
    const coils = (await client.readCoils(0, input.coils)).data.slice(0, input.coils);
    const inputs = (await client.readDiscreteInputs(0, input.inputs)).data.slice(0, input.inputs);
    console.log(JSON.stringify({ values, coils: coils.map(Number), inputs: inputs.map(Number) }));
    client.close(() => {});
}

main(JSON.parse(require("fs").readFileSync(0, "utf8"))).catch((error) => {
    console.error(error);
    process.exit(1);
});
