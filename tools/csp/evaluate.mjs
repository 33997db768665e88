// Prints what csp_evaluator finds in the policy that is the first argument, of
// severity 30 (medium) and worse, one finding a line; exit 1 if there is any.
import { CspEvaluator } from 'csp_evaluator/dist/evaluator.js';
import { CspParser } from 'csp_evaluator/dist/parser.js';

const findings = new CspEvaluator(new CspParser(process.argv[2]).csp).evaluate()
  .filter((f) => f.severity <= 30);
for (const f of findings) {
  console.log(`${f.severity} ${f.directive} ${f.value ?? ''}: ${f.description}`);
}
process.exit(findings.length > 0 ? 1 : 0);
