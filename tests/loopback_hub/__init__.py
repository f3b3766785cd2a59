"""A small Hugging Face Hub on loopback for tests; unmodified clients find it through `HF_ENDPOINT`.

It answers the requests of huggingface_hub, hf_xet, transformers and datasets: repositories, trees, references, commits,
large files with git-LFS and Xet, and `/resolve/` with the headers, redirects, ranges and error codes of the Hub. Tests can
inject faults.

    with LoopbackHub(folder) as hub:
        subprocess.run(command, env={**os.environ, **hub.environment(home)})
"""

from .server import LoopbackHub


__all__ = ["LoopbackHub"]
