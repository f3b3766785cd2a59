# Commands of a checkout with `pip install -e ".[dev]"`; `make` lists them. `.ci/run` runs all that must pass.
.DEFAULT_GOAL := help
.PHONY: help style test site suite hub slow

help: ## this list
	@sed -n 's/^\([a-z]*\): ## \(.*\)/\1	\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 8

style: ## format, then lint, spell-check and check types
	ruff format .
	ruff check --fix .
	codespell
	python -m mlinter jointmae_hf/model --no-progress
	mypy

test: ## the tests of every change: CPU, minutes
	python -m pytest

site: ## the documentation as a site in build/site; `python -m zensical serve` shows it while you write
	python -m zensical build --strict

suite: ## the common tests of transformers, on our models
	python -m pytest tests/transformers_suite -m suite

hub: ## remote code, and round trips over a Hub on loopback by git-LFS
	python -m pytest -m hub

slow: ## tests that take minutes or need a dataset, and those of hub
	python -m pytest -m "slow or hub"
