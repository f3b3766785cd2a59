"""A small Hugging Face Hub on loopback, for tests: unmodified clients need nothing but `HF_ENDPOINT`.

It speaks what huggingface_hub, hf_xet, transformers and datasets send: repositories, trees, references, commits, large
files by git-LFS and by Xet, `/resolve/` with the Hub's headers, redirects, ranges and error codes. Faults can be injected.

    with LoopbackHub(folder) as hub:
        subprocess.run(command, env={**os.environ, **hub.environment(home)})
"""

from .server import LoopbackHub


__all__ = ["LoopbackHub"]
