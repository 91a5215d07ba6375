import { MAX_DEPTH, MAX_UNFOLDED } from './limits.js';
import type { Machine } from './machine.js';
import { PytorchTensor } from './tensor.js';
import { describe, isKey, type MachineValue, type PickleKey, type PickleValue } from './values.js';

type Container = MachineValue[] | Map<PickleKey, MachineValue>;

/** A container on the way, its children and what is known of those already visited. */
interface Visit {
  container: Container;
  children: Iterator<MachineValue, undefined>;
  height: number;
  unfolded: number;
}

function isContainer(value: MachineValue): value is Container {
  return Array.isArray(value) || value instanceof Map;
}

function checkLeaf(value: MachineValue, machine: Machine): void {
  if (isKey(value) || value instanceof PytorchTensor || value instanceof Uint8Array) return;
  machine.fail(`${describe(value)} is left as a value, which is not allowed in a checkpoint`, 'ERR_DPM_PICKLE');
}

/**
 * Checks that a value is one that callers can walk through with plain recursion: nothing but what {@link PickleValue}
 * lists, no cycles, of limited depth, and not too large when everything shared is followed each time. Visits each
 * container once.
 */
export function checkedValue(root: MachineValue, machine: Machine): PickleValue {
  const finished = new Map<Container, { height: number; unfolded: number }>();
  const open = new Set<Container>();
  const path: Visit[] = [];

  const enter = (container: Container): void => {
    if (open.has(container)) machine.fail('a value contains itself');
    if (path.length >= MAX_DEPTH) machine.fail(`values are nested more than ${MAX_DEPTH} deep`);
    open.add(container);
    path.push({ container, children: container.values(), height: 1, unfolded: 1 });
  };
  const add = (visit: Visit, height: number, unfolded: number): void => {
    visit.height = Math.max(visit.height, height + 1);
    visit.unfolded += unfolded;
    if (path.length + height > MAX_DEPTH) machine.fail(`values are nested more than ${MAX_DEPTH} deep`);
    if (visit.unfolded > MAX_UNFOLDED) machine.fail(`shared values unfold to more than ${MAX_UNFOLDED}`);
  };
  const leave = ({ container, height, unfolded }: Visit): void => {
    path.pop();
    open.delete(container);
    finished.set(container, { height, unfolded });
    const parent = path.at(-1);
    if (parent !== undefined) add(parent, height, unfolded);
  };

  if (!isContainer(root)) checkLeaf(root, machine);
  else enter(root);
  for (let visit = path.at(-1); visit !== undefined; visit = path.at(-1)) {
    const next = visit.children.next();
    if (next.done === true) leave(visit);
    else if (!isContainer(next.value)) {
      checkLeaf(next.value, machine);
      add(visit, 0, 1);
    } else {
      const known = finished.get(next.value);
      if (known === undefined) enter(next.value);
      else add(visit, known.height, known.unfolded);
    }
  }
  return root as PickleValue;
}
