# Every target runs a verb of cli/main.ts or a program in scripts/ with the tools that toolchain/run provides. A variable
# stands for the option of the verb that its help says.
.DEFAULT_GOAL := help
.PHONY: help up preview doctor audit stack promote rollback down unlock test soak check scan fmt pin env generate
RUN := @bash toolchain/run --import ./scripts/given.ts
# scripts/given.ts refuses what a target does not take, by the lines `takes`, before its program begins.
export MAKECMDGOALS
takes = DEBUG=<anything>

help: ## this list
	@awk -F ' takes [+]= |:.*## ' '/^[a-z]+: takes / { takes = $$2 } /^[a-z]+:.*## / { gsub(/\$$\$$/, "$$"); \
	  printf "  make %-8s %s\n", $$1, $$2; if (takes) printf "%16s%s\n", "", takes; takes = "" }' $(MAKEFILE_LIST)
	@echo "  PROGRAM chooses a program (default this one), like examples/statsboard. STACK chooses a stack (default local); docs/contributing/toolchain.md says what is fetched, and from where."

up: takes += PROGRAM=<folder> STACK=<stack> YES=1 ACKNOWLEDGED=<words>
up: ## from a fresh machine to the stack answering; a table at the end
	$(RUN) $(CURDIR)/cli/main.ts up

preview: takes += PROGRAM=<folder> STACK=<stack> REPORT=<file> ACKNOWLEDGED=<words> FORMAT=json
preview: ## what the next `make up` would do, explained (REPORT for a pull request); changes nothing
	$(RUN) $(CURDIR)/cli/main.ts preview

doctor: takes += PROGRAM=<folder> STACK=<stack> FORMAT=json
doctor: ## what the stack's host is, what is wrong with it, and the cure; changes nothing
	$(RUN) $(CURDIR)/cli/main.ts doctor

audit: takes += PROGRAM=<folder> STACK=<stack> FORMAT=json
audit: ## whether the host is as the stack promises, field by field (FORMAT for machines); changes nothing
	$(RUN) $(CURDIR)/cli/main.ts audit

stack: takes += PROGRAM=<folder> NAME=<new> FROM=<stack> HOST=<host> DOMAIN=<domain> ADDRESS=<address>
stack: ## a new stack like another one
	$(RUN) $(CURDIR)/cli/main.ts stack

promote: takes += PROGRAM=<folder> FROM=<stack> TO=<stack>
promote: ## the images that one stack runs into the file of another
	$(RUN) $(CURDIR)/cli/main.ts promote

rollback: takes += PROGRAM=<folder> STACK=<stack> TO=<number> YES=1 ACKNOWLEDGED=<words>
rollback: ## back to the release before, by a preview and an update (TO: to that one)
	$(RUN) $(CURDIR)/cli/main.ts rollback

down: takes += PROGRAM=<folder> STACK=<stack> DATA=delete|keep YES=1
down: ## remove it all; asks about data (DATA for scripts)
	$(RUN) $(CURDIR)/cli/main.ts down

unlock: takes += PROGRAM=<folder> STACK=<stack> UNLOCK=<stack>
unlock: ## release the lock of a run that was killed on another machine (UNLOCK for scripts)
	$(RUN) $(CURDIR)/cli/main.ts unlock

test: ## every test: unit first, then end to end
	$(RUN) scripts/test.ts

soak: ## the end-to-end tests with every variant of what `make test` shows once of each kind; takes hours
	$(RUN) scripts/soak.ts

check: ## types, lint, format and unit tests: what to run before a commit
	$(RUN) scripts/check.ts

scan: takes += PROGRAM=<folder> REPORT=<file>
scan: ## known holes of the images, by Trivy; ends with an error if one can be closed
	$(RUN) $(CURDIR)/cli/main.ts scan

fmt: ## format everything
	$(RUN) node_modules/prettier/bin/prettier.cjs --write .

pin: ## resolve the digests of images.ts and the checksums of Pulumi's archives anew
	$(RUN) scripts/pin.ts

env: takes += PROGRAM=<folder> STACK=<stack>
env: ## for eval "$$(make -s env)": a shell in which plain pulumi works
	$(RUN) $(CURDIR)/cli/main.ts env

generate: ## write what is made from the program: stack.schema.json, docs/reference/configuration.md, docs/reference/commands.md, the README's picture
	$(RUN) scripts/generate.ts
