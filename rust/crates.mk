# SPDX-License-Identifier: GPL-2.0
#
# How crates are built for each other. Folders are relative to $(obj).

# crate: the crate $(1) in folder $(2) leaves its metadata for others.
define crate
RUSTFLAGS_$(2)/$(1).o += --emit=metadata=$(objtree)/$(obj)/$(2)/lib$(1).rmeta
endef

# uses: object $(1) uses the crates in the folders $(2), which have their names.
define uses
RUSTFLAGS_$(1).o += $(foreach folder,$(2),-L $(objtree)/$(obj)/$(folder) --extern $(notdir $(folder)))
endef

# depends: as uses, and the crates are built here.
define depends
$(call uses,$(1),$(2))
$(obj)/$(1).o: $(foreach folder,$(2),$(obj)/$(folder)/$(notdir $(folder)).o)
endef
