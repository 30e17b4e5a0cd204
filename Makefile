# Every target runs a program in commands/ with the tools that toolchain/run provides.
.DEFAULT_GOAL := help
.PHONY: help up preview doctor audit stack promote rollback down unlock test check scan fmt pin env generate
RUN := @bash toolchain/run
export STACK ?= local

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { gsub(/\$$\$$/, "$$"); printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo "  STACK=name chooses a stack (default local); docs/toolchain.md says what is fetched, and from where."

up: ## from a fresh machine to the stack answering; a table at the end
	$(RUN) commands/up.ts

preview: ## what the next `make up` would do, explained (REPORT=file.md for a pull request); changes nothing
	$(RUN) commands/preview.ts

doctor: ## what the stack's host is, what is wrong with it, and the cure; changes nothing
	$(RUN) commands/doctor.ts

audit: ## whether the host is as the stack promises, field by field (FORMAT=json for machines); changes nothing
	$(RUN) commands/audit.ts

stack: ## a new stack like another one (NAME=staging FROM=prod HOST=ssh://… DOMAIN=… ADDRESS=…)
	$(RUN) commands/new-stack.ts

promote: ## the images that one stack runs into the file of another (FROM=staging TO=prod)
	$(RUN) commands/promote.ts

rollback: ## back to the release before, by a preview and an update (TO=number: to that one)
	$(RUN) commands/rollback.ts

down: ## remove it all; asks about data (DATA=delete or DATA=keep for scripts)
	$(RUN) commands/down.ts

unlock: ## release the lock of a run that was killed on another machine (UNLOCK=name of the stack for scripts)
	$(RUN) commands/unlock.ts

test: ## every test: unit first, then end to end
	$(RUN) commands/test.ts

check: ## types, lint, format and unit tests: what to run before a commit
	$(RUN) commands/check.ts

scan: ## known holes of the images, by Trivy; ends with an error if one can be closed
	$(RUN) commands/scan.ts

fmt: ## format everything
	$(RUN) node_modules/prettier/bin/prettier.cjs --write .

pin: ## resolve the digests of images.ts anew
	$(RUN) commands/pin.ts

env: ## for eval "$$(make -s env)": a shell in which plain pulumi works
	$(RUN) commands/env.ts

generate: ## write what is made from the program: stack.schema.json, docs/configuration.md, the README's picture
	$(RUN) commands/generate.ts
