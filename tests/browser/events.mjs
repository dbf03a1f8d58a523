// The examples of all kinds of events, as the report reads them: one list, each event some minutes after the one before.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const [folder, output] = process.argv.slice(2);
const files = readdirSync(folder).filter((name) => name.endsWith('.json') && !name.includes('.expected.') && name !== 'malformed.json');
const events = files.flatMap((name) => JSON.parse(readFileSync(`${folder}/${name}`, 'utf8')).Records.map((record) => JSON.parse(record.body).detail));
writeFileSync(output, JSON.stringify(events));
