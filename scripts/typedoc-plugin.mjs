// Excludes members from typedoc's check for documentation: those of types without a name ({ kind: 'none' }), which the text of the type
// around
// them explains, and [Symbol.dispose], which always does the same.
import { Converter, ReflectionKind } from 'typedoc';

const isBelow = (reflection, kind) =>
  reflection !== undefined && (reflection.kindOf(kind) || isBelow(reflection.parent, kind));

// Typedoc does not look into parameters anyway, and complains of names that it has no use for.
const explainsItself = (reflection) =>
  !isBelow(reflection, ReflectionKind.Parameter) &&
  (reflection.kindOf(ReflectionKind.CallSignature)
    ? /^\[(dispose|asyncDispose)\]$/.test(reflection.name)
    : reflection.kindOf(ReflectionKind.Property) && reflection.parent?.kindOf(ReflectionKind.TypeLiteral) === true);

/** @param {import('typedoc').Application} app */
export function load(app) {
  app.converter.on(Converter.EVENT_END, ({ project }) => {
    const exempt = Object.values(project.reflections).filter((each) => !each.hasComment() && explainsItself(each));
    const listed = app.options.getValue('intentionallyNotDocumented');
    const names = exempt.map((each) => each.getFriendlyFullName());
    app.options.setValue('intentionallyNotDocumented', [...new Set([...listed, ...names])]);
  });
}
