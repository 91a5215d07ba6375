// Finds Python and its packages: PyTorch, and the cuDNN of its wheels.
import { spawnSync } from 'node:child_process';

const program = `
import importlib.util, json
def folder(name):
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    places = list(found.submodule_search_locations or []) if found else []
    return places[0] if places else None
report = {"torch": None, "torchCuda": None, "torchCudnn": None, "cudnn": folder("nvidia.cudnn")}
try:
    import torch
    report.update(torch=torch.__version__, torchCuda=torch.version.cuda, torchCudnn=torch.backends.cudnn.version())
except Exception as error:
    report["why"] = f"{type(error).__name__}: {error}"
print(json.dumps(report))
`;

/** Finds the packages of `$PYTHON`, by default python3; null where there is no Python. */
export function describePython() {
  const command = process.env.PYTHON ?? 'python3';
  const { status, stdout } = spawnSync(command, ['-c', program], { encoding: 'utf8', timeout: 60_000 });
  if (status !== 0) return null;
  return { command, ...JSON.parse(stdout.trim().split('\n').at(-1)) };
}
