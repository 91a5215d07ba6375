// A plug-in of Stryker: other words in a message or a help text are no mistake that a test should notice.
import { declareValuePlugin, PluginKind } from '@stryker-mutator/api/plugin';

const isText = (path) => path.isTemplateLiteral() || (path.isStringLiteral() && !path.node.value.startsWith('ERR_'));
const isWording = (path) =>
  path.isThrowStatement() ||
  (path.isNewExpression() && ['DpmError', 'ServerError'].includes(path.node.callee.name)) ||
  (path.isObjectProperty() && ['help', 'expected', 'summary'].includes(path.node.key.name));

export const strykerPlugins = [
  declareValuePlugin(PluginKind.Ignore, 'wording', {
    shouldIgnore: (path) =>
      isText(path) && path.findParent(isWording) !== null ? 'the wording of a message' : undefined,
  }),
];
