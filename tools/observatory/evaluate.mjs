// Prints what the MDN HTTP Observatory makes of a page on this machine, one of its tests
// a line and its grade at the end. Arguments: host, clear-text port, TLS port, path.
// Its own command takes no port and no path, so its parts are put together here; the
// list of preloaded hosts, which it would fetch, is empty.
import { mkdir, writeFile } from 'node:fs/promises';

const home = new URL('./node_modules/@mdn/mdn-http-observatory/', import.meta.url);
await mkdir(new URL('conf/', home), { recursive: true });
await writeFile(new URL('conf/hsts-preload.json', home), '{}');
const { retrieve } = await import(new URL('src/retriever/retriever.js', home));
const { ALL_TESTS } = await import(new URL('src/constants.js', home));
const { getGradeForScore, getScoreModifier } = await import(new URL('src/grader/grader.js', home));
const { MINIMUM_SCORE_FOR_EXTRA_CREDIT } = await import(new URL('src/grader/charts.js', home));

const [host, httpPort, httpsPort, path] = process.argv.slice(2);
const answers = await retrieve(host, { httpPort: Number(httpPort), httpsPort: Number(httpsPort), path });
if (!answers.responses.auto || answers.responses.auto.status !== 200) {
  console.log(`no answer to judge: ${answers.responses.auto?.status}`);
  process.exit(1);
}
let whole = 100;
let withoutBonus = 100;
for (const test of ALL_TESTS) {
  const r = test(answers);
  const modifier = getScoreModifier(r.result);
  whole += modifier;
  withoutBonus += Math.min(modifier, 0);
  console.log(`${r.pass ? 'pass' : 'FAIL'} ${modifier} ${r.constructor.name} ${r.result}`);
}
const { score, grade } = getGradeForScore(withoutBonus >= MINIMUM_SCORE_FOR_EXTRA_CREDIT ? whole : withoutBonus);
console.log(`grade ${grade} ${score}`);
