// npm run roofline -- --help
import { toDpmError } from '../../lib/base/errors.js';
import { commandHelp, parseCall } from '../../lib/cli/parser.js';
import { rooflineCommand } from './command.js';

try {
  const call = parseCall(rooflineCommand, process.argv.slice(2), new AbortController().signal);
  if (call === null)
    console.log(commandHelp(rooflineCommand).replace('Usage: dpm roofline', 'Usage: npm run roofline --'));
  else await rooflineCommand.run(call);
} catch (error) {
  const { code, message } = toDpmError(error);
  console.error(`error [${code}]: ${message}`);
  process.exitCode = 1;
}
