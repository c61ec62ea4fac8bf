# Ringscope: build, run, test, measure, install.  `make help` lists the targets.

BUILD ?= build
PREFIX ?= /usr/local
CC ?= gcc
VERSION := 0.1.0
MAKEFLAGS += --no-print-directory

# For people who need more: EXTRA_CFLAGS="-fsanitize=address" LINK= make BUILD=build/asan
WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes \
	-Wmissing-prototypes -Wvla -Wundef -Werror
HOST_CFLAGS := -std=gnu17 -O2 -g -fno-pie -ffunction-sections -fdata-sections -I. -DRS_VERSION='"$(VERSION)"' -D_GNU_SOURCE $(WARNINGS) $(EXTRA_CFLAGS)
# vmm is one static file: it starts faster than a dynamic one and runs in a box as it is.
# Without -z relro the loader has nothing to protect at start, and what nobody calls is left out.
LINK ?= -static -Wl,-z,norelro -Wl,--gc-sections
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

# $(call sources,FOLDER): all that is below it.  $(call objects,KIND,SOURCES)
sources = $(sort $(shell find $(1) -name '*.[cS]'))
objects = $(patsubst %,$(BUILD)/$(1)/%.o,$(2))

SHARED_OBJECTS := $(call objects,host,$(call sources,shared))
VMM_OBJECTS := $(call objects,host,$(call sources,vmm))
# Words are for hosts: no snprintf in ring 0.
KERNEL_SOURCES := $(sort $(wildcard guest/*.c guest/*.S)) $(call sources,shared)
KERNEL_OBJECTS := $(call objects,kernel,$(filter-out guest/offsets.c shared/pt_text.c,$(KERNEL_SOURCES)))
# Clang calls memset and memcpy where GCC writes them out.
USER_OBJECTS := $(call objects,user,$(call sources,guest/user) $(if $(IS_CLANG),guest/string.c))

.PHONY: all vmm tests deps run test test-asan mutants coverage bench install uninstall compdb lint clean distclean help $(BUILD)/ringscope.pc
all: $(BUILD)/vmm $(BUILD)/guest.elf $(patsubst guest/examples/%.c,$(BUILD)/%.elf,$(wildcard guest/examples/*.c)) ## build vmm and guest.elf (the default)
vmm: $(BUILD)/vmm

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

# $(call program,FLAGS,LIBRARIES): a host program of all that is named.  A linker writes a file here and there, and
# the page cache keeps it in small pieces: starting it takes 5 % longer than starting a copy.
define program
$(call say,LINK,$@)
@$(CC) $(HOST_CFLAGS) -Wl,-no-pie $(1) -o $@.tmp $^ $(2) && cp --remove-destination $@.tmp $@ && rm $@.tmp
endef

# $(call guest,FLAGS,LINKER'S): a guest of one source
PLAIN := -nostdlib -static -Wl,--build-id=none -Wl,-z,max-page-size=4096
define guest
$(call say,GUEST,$@)
@$(CC) $(1) -MMD -MP -MF $@.d $(PLAIN) $(2) -o $@ $<
endef

# $(call missing,SETS): packages are installed by `make deps` alone; others say what they lack.
missing = @missing=$$(tools/install-deps --check $(1)) || { echo "$$missing; type: make deps" >&2; exit 1; }

# ---- vmm -------------------------------------------------------------------------------------------

$(BUILD)/vmm: $(SHARED_OBJECTS) $(VMM_OBJECTS)
	$(call program,$(LINK),$(VMM_LIBS))

$(BUILD)/host/%.c.o: %.c | $(BUILD)/packages
	$(call object,CC,,$(HOST_CFLAGS))
$(BUILD)/host/%.S.o: %.S | $(BUILD)/packages
	$(call object,AS,,$(ASFLAGS))

# In vmm by .incbin: the report's style, and the first process of `vmm linux`.
$(BUILD)/host/vmm/instruments/report/report_style.S.o: vmm/instruments/report/page.css
$(BUILD)/host/vmm/cli/linux_init.S.o: $(BUILD)/guest/linux-init
$(BUILD)/guest/linux-init: guest/linux/init.c | $(BUILD)/packages
	$(call guest,$(USER_CFLAGS),-s -z noexecstack)

# Asked once for a build folder.
$(BUILD)/packages: tools/install-deps
	$(call missing,build) && mkdir -p $(@D) && touch $@

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
	@$(LD) -r -T guest/user/programs.ld -o $@ $(USER_OBJECTS) && objcopy --prefix-symbols=user_ $@

# A guest of one's own: one C file, no kernel of ours (README).
$(BUILD)/%.elf: guest/examples/%.c guest/examples/plain.ld
	$(call guest,$(GUEST_CFLAGS),-T guest/examples/plain.ld)

# ---- Tests -------------------------------------------------------------------------------------------

TESTS := $(BUILD)/tests
# All of vmm but its main().
VMM_PARTS := $(filter-out %/main.c.o,$(VMM_OBJECTS)) $(SHARED_OBJECTS)
KVM_TESTS := $(patsubst tests/kvm/%.c,$(TESTS)/%,$(wildcard tests/kvm/*.c))
TEST_GUESTS := $(patsubst %,$(TESTS)/%.elf,$(basename $(notdir $(call sources,tests/guests))))
# Kernels whose entry code is broken on purpose: the torture run must notice each.
MUTANTS := $(patsubst tests/mutants/%.sed,$(BUILD)/mutants/%.elf,$(sort $(wildcard tests/mutants/*.sed)))
SPACE_FLAGS := -Itests/unit_space/fake $(HOST_CFLAGS)
SPACE_PARTS := $(call objects,space,$(call sources,tests/unit_space)) $(BUILD)/host/tests/unit/arena.c.o $(SHARED_OBJECTS)
HOST_TESTS := $(addprefix $(TESTS)/,unit unit_vmm unit_space unit_space_broken tour_test)
BENCH_GUESTS := $(foreach guest,exit hello trips,$(BUILD)/bench_$(guest).elf $(BUILD)/bench_$(guest)_pvh.elf)
KERNEL_TESTS := $(patsubst tests/kernels/%.c,$(TESTS)/%,$(wildcard tests/kernels/*.c))
BENCH_TOOLS := $(addprefix $(BUILD)/bench_,run floor linux pt)

tests: all $(HOST_TESTS) $(KVM_TESTS) $(TEST_GUESTS) $(MUTANTS) $(BENCH_TOOLS) $(BENCH_GUESTS) $(KERNEL_TESTS) ## build everything that make test runs

$(TESTS)/unit: $(call objects,host,$(call sources,tests/unit)) $(SHARED_OBJECTS)
# Over a KVM of its own: tests/unit_vmm/fake_kvm.h.
$(TESTS)/unit_vmm: WRAP := -Wl,--wrap=ioctl -Wl,--wrap=open -Wl,--wrap=pthread_attr_setsigmask_np
$(TESTS)/unit_vmm: $(call objects,host,$(call sources,tests/unit_vmm)) $(VMM_PARTS)
$(TESTS)/tour_test: $(BUILD)/host/tests/guest/tour_test.c.o
$(TESTS)/unit_space: $(SPACE_PARTS) $(BUILD)/space/guest/space.c.o
$(TESTS)/unit_space_broken: $(SPACE_PARTS) $(BUILD)/space/broken.o
$(HOST_TESTS):
	$(call program,$(WRAP),$(CHECK_LIBS) $(VMM_LIBS))

# The guest's address spaces over a model of TLBs; and once more without the flush of PCIDs that change hands,
# which must be noticed.
$(BUILD)/space/%.c.o: %.c
	$(call object,CC, (over a model),$(SPACE_FLAGS))
$(BUILD)/space/broken.o: guest/space.c $(BUILD)/space/guest/space.c.o
	$(call object,CC, (broken),$(SPACE_FLAGS) -DRS_TEST_NO_PCID_FLUSH)

# Linked statically: these run inside the boxes too.
$(TESTS)/arrival: WRAP := -Wl,--wrap=engine_takes_exit
$(KVM_TESTS): $(TESTS)/%: $(BUILD)/host/tests/kvm/%.c.o $(BUILD)/host/tests/kvm/common/kvm_suite.c.o $(VMM_PARTS)
	$(call program,$(LINK) $(WRAP),$(CHECK_LIBS) $(VMM_LIBS))

$(TESTS)/%.elf: tests/guests/%.c guest/examples/plain.ld
	$(call guest,$(GUEST_CFLAGS),-T guest/examples/plain.ld)
# With the Ringscope note: in the kernel half, as guest.elf is.
$(TESTS)/%.elf: tests/guests/noted/%.c tests/guests/noted.ld
	$(call guest,$(KERNEL_CFLAGS),-z noexecstack -T tests/guests/noted.ld)

$(BUILD)/mutants/%.elf: tests/mutants/%.sed guest/entry.S $(BUILD)/guest.elf
	$(call say,MUTANT,$<)
	@sed -f $< guest/entry.S > $(@D)/$*.S
	@! cmp -s $(@D)/$*.S guest/entry.S || { echo "$<: changes nothing in guest/entry.S" >&2; false; }
	@$(CC) $(ASFLAGS) -c -o $(@D)/$*.o $(@D)/$*.S
	@$(LINK_KERNEL) -Wl,--strip-debug -o $@ $(KERNEL_OBJECTS:$(BUILD)/kernel/guest/entry.S.o=$(@D)/$*.o) $(BUILD)/user/programs.o

test: ## install what is missing, build, and run all tests, here and in both boxes
	@$(MAKE) deps SETS="build test" && $(MAKE) tests
	@BUILD=$(BUILD) tests/run

test-asan: ## unit tests and command-line tests under ASan and UBSan
	$(call missing,build test)
	@$(MAKE) BUILD=$(BUILD)/asan LINK= \
		EXTRA_CFLAGS="-DRS_FREE_AT_EXIT -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer" tests
	@BUILD=$(BUILD)/asan BOX=no CK_TIMEOUT_MULTIPLIER=10 tests/run unit unit_vmm unit_space cli

mutants: ## break the sources one line at a time: the unit tests must notice (tools/mutants --help)
	$(call missing,build test)
	@BUILD=$(BUILD) tools/mutants

coverage: ## line coverage of shared/ by its unit tests; fails below 95 %
	$(call missing,build unit coverage)
	@$(MAKE) BUILD=$(BUILD)/coverage LINK= EXTRA_CFLAGS="--coverage -O0" $(BUILD)/coverage/tests/unit
	@$(BUILD)/coverage/tests/unit > $(BUILD)/coverage/unit.log || { cat $(BUILD)/coverage/unit.log; exit 1; }
	@gcovr --root . --filter shared/ --exclude tests/ --fail-under-line 95 $(BUILD)/coverage

lint: ## formatting, clang-tidy, cppcheck; and a clang build
	$(call missing,build lint)
	@tests/lint

# ---- Measuring ----------------------------------------------------------------------------------------

# Linked statically, as vmm is: a dynamic floor would start slower, and these run inside the boxes too.
# bench_linux has the same crossings under Linux, for the Intel box's own kernel.
$(BUILD)/bench_floor: tests/bench/floor.c tests/bench/guests.S
$(BUILD)/bench_linux: tests/bench/linux.c
$(BUILD)/bench_run: $(BUILD)/host/tests/bench/bench.c.o
$(BUILD)/bench_pt: $(BUILD)/host/tests/bench/pt.c.o $(SHARED_OBJECTS)
$(KERNEL_TESTS): $(TESTS)/%: tests/kernels/%.c
$(BENCH_TOOLS) $(KERNEL_TESTS):
	$(call program,$(LINK),-ljansson)

# The guests share a file and differ in where they start; once more for QEMU's firmware (PVH).
$(BUILD)/bench_%_pvh.elf: tests/bench/guests.S
	$(call guest,$(ASFLAGS) -DPVH=bench_$* -m32,-e bench_$* -Xlinker -Ttext-segment=0x100000)
$(BUILD)/bench_%.elf: tests/bench/guests.S guest/examples/plain.ld
	$(call guest,$(ASFLAGS),-T guest/examples/plain.ld -e bench_$*)

bench: ## ./vmm against a bare ioctl program and its peers; page-table operations; exact counts; a box's start
	$(call missing,build box-amd box-intel)
	@$(MAKE) all $(BENCH_TOOLS) $(BENCH_GUESTS)
	@BUILD=$(BUILD) tests/bench/run

# ---- For people -----------------------------------------------------------------------------------------

SETS ?= build test coverage lint
deps: ## install the Debian packages that are missing; SETS="build test": only for these
	@tools/install-deps $(SETS)

run: ## install what is missing, build, and run ./vmm guest.elf (without a /dev/kvm: in the AMD box)
	@$(MAKE) deps SETS=build && $(MAKE) all
	@cd $(BUILD) && ./vmm --box auto guest.elf

# What goes where below PREFIX.
INSTALLED = $(BUILD)/vmm:bin/ tools/kvmbox:bin/ tools/get-kernel:bin/ \
	$(foreach file,$(BUILD)/guest.elf guest/examples/plain.ld tools/install-deps \
		$(shell find vmm -name '*.schema.json'),$(file):lib/ringscope/) \
	$(foreach file,$(shell find tools/kvmbox.d -type f ! -name '*.pyc'),$(file):$(dir $(file:tools/%=lib/ringscope/%))) \
	shared/abi.h:include/ringscope/shared/ shared/x86.h:include/ringscope/shared/ \
	vmm/vmm.1:share/man/man1/ $(BUILD)/ringscope.pc:share/pkgconfig/ \
	$(BUILD)/vmm.bash:share/bash-completion/completions/vmm $(BUILD)/vmm.zsh:share/zsh/site-functions/_vmm

$(BUILD)/vmm.bash $(BUILD)/vmm.zsh: $(BUILD)/vmm.%: $(BUILD)/vmm tools/completions
	@$(BUILD)/vmm --help | tools/completions $* > $@

# PREFIX is in it, and may be another one each time.
$(BUILD)/ringscope.pc: shared/ringscope.pc.in | $(BUILD)/vmm
	@sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|' $< > $@

install: all $(BUILD)/vmm.bash $(BUILD)/vmm.zsh $(BUILD)/ringscope.pc ## install vmm, guest.elf, the boxes' tool, completions and man page below $(DESTDIR)$(PREFIX)
	@tools/install-files "$(DESTDIR)" "$(PREFIX)" $(INSTALLED)

uninstall: ## remove what make install put below $(DESTDIR)$(PREFIX), and nothing else
	@tools/install-files --remove "$(DESTDIR)" "$(PREFIX)"
compdb: ## write compile_commands.json
	@$(MAKE) -Bnk all tests 2>/dev/null | tools/compdb > compile_commands.json
	@echo "compile_commands.json"

clean: ## remove build/, but not what boxes and tests have downloaded
	@rm -f compile_commands.json
	@if [ -d $(BUILD) ]; then find $(BUILD) -depth -mindepth 1 ! -path '$(BUILD)/kvmbox*' ! -path '$(BUILD)/kernels*' -delete && rmdir --ignore-fail-on-non-empty $(BUILD); fi
distclean: clean ## remove build/ with all downloads
	@rm -rf $(BUILD)

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | sed 's/$$(DESTDIR)$$(PREFIX)/DESTDIR and PREFIX/' | expand -t 24

-include $(shell find $(BUILD) -name '*.d' -type f 2>/dev/null)
