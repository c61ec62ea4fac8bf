# Ringscope: build, run, test, measure, install.  `make help` lists the targets.

BUILD ?= build
PREFIX ?= /usr/local
DESTDIR ?=
CC ?= gcc
VERSION := 0.1.0

# For people who need more: EXTRA_CFLAGS="-fsanitize=address" LINK= make BUILD=build/asan
EXTRA_CFLAGS ?=
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wundef -Werror
HOST_CFLAGS := -std=gnu17 -O2 -g -ffunction-sections -fdata-sections -I. -DRS_VERSION='"$(VERSION)"' -D_GNU_SOURCE $(WARNINGS) \
	$(EXTRA_CFLAGS)
# vmm is one static file: it starts faster than a dynamic one and runs in a box as it is.
# Without -z relro the loader has nothing to protect at start, and what nobody calls is left out.
LINK ?= -static -Wl,-z,norelro -Wl,--gc-sections
# A linker writes a file here and there, and the page cache keeps it in small pieces: starting it would take
# 6 % longer than starting a copy.
WRITE_WHOLE = cp $@.tmp $@.whole && mv -f $@.whole $@ && rm $@.tmp
VMM_LIBS := -ldw -lelf -lz -lcapstone -ljansson
CHECK_LIBS := -lcheck -lsubunit -lm -lrt -lpthread

# Ring 0 uses integer instructions only: one KVM interprets it and knows no others.
GUEST_CFLAGS := -std=gnu17 -O2 -g -I. -I$(BUILD)/guest $(WARNINGS) -ffreestanding -fno-builtin \
	-fno-pic -fno-pie -fno-stack-protector -fcf-protection=none -fno-asynchronous-unwind-tables \
	-mno-red-zone -mgeneral-regs-only
# Nothing in ring 0 needs a 16-byte aligned stack: no SSE.
IS_CLANG := $(findstring clang,$(shell $(CC) --version))
STACK_ALIGNMENT := $(if $(IS_CLANG),-mstack-alignment=8,-mpreferred-stack-boundary=3)
KERNEL_CFLAGS := $(GUEST_CFLAGS) -mcmodel=kernel $(STACK_ALIGNMENT) -ffunction-sections
# Fast where a crossing passes, small elsewhere.  The second line is what GCC does for speed at -Oz too: 2 %.
SMALL := -Oz $(if $(IS_CLANG),,-fno-expensive-optimizations -fno-if-conversion -fno-tree-dominator-opts \
	-fno-caller-saves -fno-tree-coalesce-vars)
HOT_SOURCES := guest/trap.c guest/quirk.c
HOT_CFLAGS := -fno-align-functions $(if $(IS_CLANG),,-fno-align-jumps -fno-align-loops)
# Small rather than fast: what is timed in ring 3 is assembly.
USER_CFLAGS := $(GUEST_CFLAGS) -mcmodel=small $(STACK_ALIGNMENT) $(SMALL)
ASFLAGS := -I. -I$(BUILD)/guest -g -D__ASSEMBLER__

objects = $(patsubst %,$(BUILD)/$(1)/%.o,$(2))

SHARED_SOURCES := $(sort $(wildcard shared/*.c))
# Words are for hosts: no snprintf in ring 0.
SHARED_GUEST_SOURCES := $(filter-out shared/pt_text.c,$(SHARED_SOURCES))
# What every run goes through is linked first: with shared/ it fills the first 64 KiB of text, which Linux maps
# at one page fault.  So what few runs need comes behind.
VMM_FEW := vmm/box.c vmm/outfile.c vmm/place.c
VMM_CORE_SOURCES := $(filter-out $(VMM_FEW),$(sort $(wildcard vmm/*.c))) vmm/debug/debugger.c vmm/look/look_live.c \
	vmm/trace/recorder.c
VMM_SOURCES := $(sort $(wildcard vmm/*.c vmm/*/*.c vmm/*/*.S))
KERNEL_SOURCES := $(filter-out guest/offsets.c,$(sort $(wildcard guest/*.c guest/*.S)))
# Clang calls memset and memcpy where GCC writes them out.
USER_SOURCES := $(sort $(wildcard guest/user/*.c guest/user/*.S)) $(if $(IS_CLANG),guest/string.c)

SHARED_OBJECTS := $(call objects,host,$(SHARED_SOURCES))
VMM_OBJECTS := $(call objects,host,$(VMM_SOURCES))
KERNEL_OBJECTS := $(call objects,kernel,$(KERNEL_SOURCES) $(SHARED_GUEST_SOURCES))
USER_OBJECTS := $(call objects,user,$(USER_SOURCES))

EXAMPLES := $(patsubst guest/examples/%.c,$(BUILD)/%.elf,$(wildcard guest/examples/*.c))

.PHONY: all
all: $(BUILD)/vmm $(BUILD)/guest.elf $(EXAMPLES) ## build vmm and guest.elf (the default)

.DELETE_ON_ERROR:
.SUFFIXES:

# ---- Recipes ---------------------------------------------------------------------------------------

# $(call say,CC,FILE): what is being made, in a folder that is there
say = @mkdir -p $(@D) && printf '  %-7s %s\n' $(1) '$(2)'

# $(call object,CC,WHERE IT RUNS,FLAGS): an object of the first source, its dependencies beside it
define object
$(call say,$(1),$<$(2))
@$(CC) $(3) -MMD -MP -c -o $@ $<
endef

# $(call program,FLAGS,LIBRARIES): a host program of all that is named
define program
$(call say,LINK,$@)
@$(CC) $(HOST_CFLAGS) $(1) -o $@ $^ $(2)
endef

# $(call guest,FLAGS,LINKER'S): a guest of one source
PLAIN := -nostdlib -static -Wl,--build-id=none -Wl,-z,max-page-size=4096
define guest
$(call say,GUEST,$<)
@$(CC) $(1) -MMD -MP -MF $@.d $(PLAIN) $(2) -o $@ $<
endef

# ---- vmm -------------------------------------------------------------------------------------------

.PHONY: vmm
vmm: $(BUILD)/vmm

$(BUILD)/vmm: $(call objects,host,$(VMM_CORE_SOURCES)) $(SHARED_OBJECTS) $(VMM_OBJECTS)
	$(call say,LINK,$@)
	@$(CC) $(HOST_CFLAGS) $(LINK) -o $@.tmp $^ $(VMM_LIBS)
	@$(WRITE_WHOLE)

$(BUILD)/host/%.c.o: %.c
	$(call object,CC,,$(HOST_CFLAGS))

$(BUILD)/host/%.S.o: %.S
	$(call object,AS,,$(ASFLAGS))

# ---- guest.elf ---------------------------------------------------------------------------------------

LINK_KERNEL = $(CC) $(PLAIN) -Wl,-z,noexecstack -Wl,--no-warn-rwx-segments -Wl,--gc-sections -T guest/kernel.ld

$(BUILD)/guest.elf: $(KERNEL_OBJECTS) $(BUILD)/user/programs.o guest/kernel.ld
	$(call say,LINK,$@)
	@$(LINK_KERNEL) -o $@ $(KERNEL_OBJECTS) $(BUILD)/user/programs.o

# Structure offsets that assembly needs, from the C declarations.
$(BUILD)/guest/offsets.h: guest/offsets.c
	$(call say,GEN,$@)
	@$(CC) $(KERNEL_CFLAGS) -MMD -MP -MT $@ -MF $@.d -S -o $@.s $<
	@sed -n 's/.*"->\([A-Z0-9_]*\) \(.*\)"/#define \1 \2/p' $@.s > $@.tmp && mv $@.tmp $@

$(BUILD)/kernel/%.c.o: %.c
	$(call object,CC, (ring 0),$(KERNEL_CFLAGS) $(if $(filter $<,$(HOT_SOURCES)),$(HOT_CFLAGS),$(SMALL)))

$(BUILD)/kernel/%.S.o: %.S $(BUILD)/guest/offsets.h
	$(call object,AS, (ring 0),$(ASFLAGS))

$(BUILD)/user/%.c.o: %.c
	$(call object,CC, (ring 3),$(USER_CFLAGS))

$(BUILD)/user/%.S.o: %.S
	$(call object,AS, (ring 3),$(ASFLAGS))

# Ring 3 code is linked by itself first and its names get a prefix, so that neither side can
# call the other by mistake; then its sections are what guest/kernel.ld expects.
$(BUILD)/user/programs.o: $(USER_OBJECTS) guest/user/programs.ld
	$(call say,LINK,$@)
	@$(LD) -r -T guest/user/programs.ld -o $@.tmp $(USER_OBJECTS)
	@objcopy --prefix-symbols=user_ $@.tmp $@ && rm -f $@.tmp

# A guest of one's own: one C file, no kernel of ours (README).
$(BUILD)/%.elf: guest/examples/%.c guest/examples/plain.ld
	$(call guest,$(GUEST_CFLAGS),-T guest/examples/plain.ld)

# ---- Tests -------------------------------------------------------------------------------------------

TEST_CFLAGS := $(HOST_CFLAGS)
UNIT_SOURCES := $(sort $(wildcard tests/unit/*.c))
UNIT_VMM_SOURCES := $(sort $(wildcard tests/unit_vmm/*.c))
VMM_PARTS := $(filter-out $(BUILD)/host/vmm/main.c.o,$(VMM_OBJECTS))
KVM_TESTS := $(patsubst tests/kvm/%.c,$(BUILD)/tests/%,$(wildcard tests/kvm/*.c))
TEST_GUESTS := $(patsubst tests/guests/%,$(BUILD)/tests/%.elf,$(basename $(wildcard tests/guests/*.S tests/guests/*.c))) \
	$(patsubst tests/guests/noted/%.c,$(BUILD)/tests/%.elf,$(wildcard tests/guests/noted/*.c))
TEST_PROGRAMS := $(BUILD)/tests/unit $(BUILD)/tests/unit_vmm $(BUILD)/tests/unit_space $(BUILD)/tests/unit_space_broken $(BUILD)/tests/tour_test $(KVM_TESTS) $(TEST_GUESTS)

$(BUILD)/tests/unit: $(call objects,host,$(UNIT_SOURCES)) $(SHARED_OBJECTS)
	$(call program,,$(CHECK_LIBS))

# The guest's address spaces over a model of TLBs; and once more without the flush of PCIDs that change hands,
# which must be noticed.
SPACE_FLAGS := -Itests/unit_space/fake
SPACE_PARTS := $(call objects,space,$(sort $(wildcard tests/unit_space/*.c))) $(BUILD)/host/tests/unit/arena.c.o \
	$(SHARED_OBJECTS)

$(BUILD)/space/%.c.o: %.c
	$(call object,CC, (over a model),$(SPACE_FLAGS) $(HOST_CFLAGS))

$(BUILD)/space/broken.o: guest/space.c $(BUILD)/space/guest/space.c.o
	@$(CC) $(SPACE_FLAGS) $(HOST_CFLAGS) -DRS_TEST_NO_PCID_FLUSH -c -o $@ $<

$(BUILD)/tests/unit_space: $(SPACE_PARTS) $(BUILD)/space/guest/space.c.o
$(BUILD)/tests/unit_space_broken: $(SPACE_PARTS) $(BUILD)/space/broken.o
$(BUILD)/tests/unit_space $(BUILD)/tests/unit_space_broken:
	$(call program,,$(CHECK_LIBS))

$(BUILD)/tests/unit_vmm: $(call objects,host,$(UNIT_VMM_SOURCES)) $(VMM_PARTS) $(SHARED_OBJECTS)
	$(call program,,$(CHECK_LIBS) $(VMM_LIBS))

# Linked statically: these run inside the boxes too.
$(BUILD)/tests/arrival: WRAP := -Wl,--wrap=debug_takes_exit
$(KVM_TESTS): $(BUILD)/tests/%: $(BUILD)/host/tests/kvm/%.c.o $(BUILD)/host/tests/kvm/common/kvm_suite.c.o $(VMM_PARTS) $(SHARED_OBJECTS)
	$(call program,$(LINK) $(WRAP),$(CHECK_LIBS) $(VMM_LIBS))

$(BUILD)/tests/tour_test: $(BUILD)/host/tests/guest/tour_test.c.o
	$(call program,,$(CHECK_LIBS) -ljansson)

$(BUILD)/tests/%.elf: tests/guests/%.S guest/examples/plain.ld
	$(call guest,$(ASFLAGS),-T guest/examples/plain.ld)

$(BUILD)/tests/%.elf: tests/guests/%.c guest/examples/plain.ld
	$(call guest,$(GUEST_CFLAGS),-T guest/examples/plain.ld)

# With the Ringscope note: in the kernel half, as guest.elf is.
$(BUILD)/tests/%.elf: tests/guests/noted/%.c tests/guests/noted.ld
	$(call guest,$(KERNEL_CFLAGS),-z noexecstack -T tests/guests/noted.ld)

# Kernels whose entry code is broken on purpose: the torture run must notice each.
MUTANTS := $(patsubst tests/mutants/%.sed,$(BUILD)/mutants/%.elf,$(sort $(wildcard tests/mutants/*.sed)))
MUTANT_OBJECTS = $(KERNEL_OBJECTS:$(BUILD)/kernel/guest/entry.S.o=$(@D)/$*.o)

$(BUILD)/mutants/%.elf: tests/mutants/%.sed guest/entry.S $(BUILD)/guest.elf
	$(call say,MUTANT,$<)
	@sed -f $< guest/entry.S > $(@D)/$*.S
	@! cmp -s $(@D)/$*.S guest/entry.S || { echo "$<: changes nothing in guest/entry.S" >&2; false; }
	@$(CC) $(ASFLAGS) -c -o $(@D)/$*.o $(@D)/$*.S
	@$(LINK_KERNEL) -Wl,--strip-debug -o $@ $(MUTANT_OBJECTS) $(BUILD)/user/programs.o

tests: $(MUTANTS)

.PHONY: tests
tests: all $(TEST_PROGRAMS) ## build everything that make test runs

.PHONY: test
test: ## install what tests need, then run all of them, here and in both boxes
	@tools/install-deps build test
	@$(MAKE) --no-print-directory tests
	@BUILD=$(BUILD) tests/run

.PHONY: test-asan
test-asan: ## unit tests and command-line tests under ASan and UBSan
	@tools/install-deps build test
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan LINK= \
		EXTRA_CFLAGS="-DRS_FREE_AT_EXIT -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" \
		$(BUILD)/asan/vmm $(BUILD)/asan/tests/unit $(BUILD)/asan/tests/unit_vmm \
		$(BUILD)/asan/guest.elf $(TEST_GUESTS:$(BUILD)/%=$(BUILD)/asan/%)
	@BUILD=$(BUILD)/asan tests/run unit unit_vmm cli

.PHONY: coverage
coverage: ## line coverage of shared/ by its unit tests; fails below 95 %
	@tools/install-deps build test coverage
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/coverage LINK= EXTRA_CFLAGS="--coverage -O0" \
		$(BUILD)/coverage/tests/unit
	@$(BUILD)/coverage/tests/unit > $(BUILD)/coverage/unit.log || { cat $(BUILD)/coverage/unit.log; exit 1; }
	@gcovr --root . --filter shared/ --exclude tests/ --fail-under-line 95 $(BUILD)/coverage

# ---- Measuring ----------------------------------------------------------------------------------------

BENCH_GUESTS := $(foreach guest,exit hello trips,$(BUILD)/bench_$(guest).elf $(BUILD)/bench_$(guest)_pvh.elf)
BENCH_PROGRAMS := $(BUILD)/bench_run $(BUILD)/bench_floor $(BUILD)/bench_linux $(BUILD)/bench_pt $(BENCH_GUESTS)

# Linked statically, as vmm is: a dynamic floor would start slower, and these run inside the boxes too.
$(BUILD)/bench_floor: tests/bench/floor.c tests/bench/guests.S
	$(call say,LINK,$@)
	@$(CC) $(HOST_CFLAGS) $(LINK) -o $@.tmp $^
	@$(WRITE_WHOLE)

# The same crossings under Linux, for the Intel box's own kernel.
$(BUILD)/bench_linux: tests/bench/linux.c
	$(call say,LINK,$@)
	@$(CC) $(HOST_CFLAGS) $(LINK) -o $@ $^

$(BUILD)/bench_run: $(BUILD)/host/tests/bench/bench.c.o
	$(call program,$(LINK),-ljansson)

$(BUILD)/bench_pt: $(BUILD)/host/tests/bench/pt.c.o $(SHARED_OBJECTS)
	$(call program,$(LINK),)

# The guests share a file and differ in where they start; once more for QEMU's firmware (PVH).
$(BUILD)/bench_%_pvh.elf: tests/bench/guests.S
	$(call say,GUEST,$@)
	@$(CC) $(ASFLAGS) -DPVH=bench_$* -m32 -nostdlib -static -Wl,--build-id=none \
		-Wl,-Ttext-segment=0x100000 -Wl,-e,bench_$* -o $@ $<

$(BUILD)/bench_%.elf: tests/bench/guests.S guest/examples/plain.ld
	$(call say,GUEST,$@)
	@$(CC) $(ASFLAGS) $(PLAIN) -T guest/examples/plain.ld -Wl,-e,bench_$* -o $@ $<

# They have tests too.
tests: $(BENCH_PROGRAMS)

.PHONY: bench
bench: ## ./vmm against a bare ioctl program and its peers; page-table operations; exact counts; a box's start
	@tools/install-deps build
	@$(MAKE) --no-print-directory all $(BENCH_PROGRAMS)
	@BUILD=$(BUILD) tests/bench/run

# ---- For people -----------------------------------------------------------------------------------------

.PHONY: run
run: ## install what is missing, build, and run ./vmm guest.elf (without a /dev/kvm: in the AMD box)
	@tools/install-deps build
	@$(MAKE) --no-print-directory all
	@cd $(BUILD) && ./vmm --box auto guest.elf

# What goes where below PREFIX.
INSTALLED = $(BUILD)/vmm:bin/ tools/kvmbox:bin/ \
	$(foreach file,$(BUILD)/guest.elf guest/examples/plain.ld vmm/report/report.schema.json \
		vmm/probe/probe.schema.json vmm/look/look.schema.json tools/install-deps,$(file):lib/ringscope/) \
	$(foreach file,$(KVMBOX_PARTS),$(file):$(dir $(file:tools/%=lib/ringscope/%))) \
	shared/abi.h:include/ringscope/shared/ shared/x86.h:include/ringscope/shared/ \
	vmm/vmm.1:share/man/man1/ $(BUILD)/ringscope.pc:share/pkgconfig/ \
	$(BUILD)/vmm.bash:share/bash-completion/completions/vmm $(BUILD)/vmm.zsh:share/zsh/site-functions/_vmm
KVMBOX_PARTS = $(shell find tools/kvmbox.d -type f ! -name '*.pyc')

$(BUILD)/vmm.bash $(BUILD)/vmm.zsh: $(BUILD)/vmm.%: $(BUILD)/vmm tools/completions
	@$(BUILD)/vmm --help | tools/completions $* > $@

# PREFIX is in it, and may be another one each time.
.PHONY: $(BUILD)/ringscope.pc
$(BUILD)/ringscope.pc: shared/ringscope.pc.in | $(BUILD)/vmm
	@sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' $< > $@

.PHONY: install
install: all $(BUILD)/vmm.bash $(BUILD)/vmm.zsh $(BUILD)/ringscope.pc ## install vmm, guest.elf, the boxes' tool, completions and man page below $(DESTDIR)$(PREFIX)
	@tools/install-files "$(DESTDIR)" "$(PREFIX)" $(INSTALLED)

.PHONY: uninstall
uninstall: ## remove what make install put below $(DESTDIR)$(PREFIX), and nothing else
	@tools/install-files --remove "$(DESTDIR)" "$(PREFIX)"

.PHONY: compdb
compdb: ## write compile_commands.json
	@$(MAKE) --no-print-directory -Bnk all tests 2>/dev/null | tools/compdb > compile_commands.json
	@echo "compile_commands.json"

.PHONY: lint
lint: ## formatting, clang-tidy, cppcheck; and a clang build
	@tools/install-deps build test lint
	@tests/lint

.PHONY: clean
clean: ## remove build/, but not what the boxes have downloaded
	@rm -rf compile_commands.json
	@if [ -d $(BUILD) ]; then find $(BUILD) -mindepth 1 -maxdepth 1 ! -name kvmbox -exec rm -rf {} +; fi
	@rmdir $(BUILD) 2>/dev/null || true

.PHONY: distclean
distclean: clean ## remove build/ with all downloads
	@rm -rf $(BUILD)

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | sed 's/$$(DESTDIR)$$(PREFIX)/DESTDIR and PREFIX/' | expand -t 24

-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
