#include "vmm/devices/bus.h"

#include <inttypes.h>

#include "vmm/base/message.h"

bool bus_add(struct bus *bus, const struct device *device)
{
	for (unsigned i = 0; i < bus->count; i++) {
		const struct device *other = bus->devices[i];

		if (other->bus == device->bus && device->first <= other->last &&
		    other->first <= device->last)
			return message_error("%s: 0x%" PRIx64 " to 0x%" PRIx64 " is the place of "
			                     "%s as well",
			                     device->name, device->first, device->last,
			                     other->name);
	}
	if (bus->count == BUS_DEVICES)
		return message_error("%s: the machine has no place for more than %d devices",
		                     device->name, BUS_DEVICES);
	bus->devices[bus->count++] = device;
	return true;
}

const struct device *bus_find(struct bus *bus, enum bus_kind kind, uint64_t at)
{
	for (unsigned i = 0; i < bus->count; i++) {
		const struct device *device = bus->devices[i];

		if (device->bus == kind && at >= device->first && at <= device->last) {
			bus->last[kind] = (struct bus_window){
			    .first = device->first,
			    .count = device->last - device->first + 1,
			    .device = device,
			};
			return device;
		}
	}
	return NULL;
}
