package qemu

import (
	"maps"
	"slices"
	"strings"
)

const (
	accelerators = `(tcg|kvm)(:(tcg|kvm))*`
	networkCards = `virtio|virtio-net-pci(-(non-)?transitional)?|virtio-net-device|e1000|e1000e|rtl8139|vmxnet3`
)

// machines are the properties of the machine that have to do with the guest alone.
func machines() properties {
	out := properties{
		"type":  `pc|pc-(i440fx-)?[0-9]+\.[0-9]+|q35|pc-q35-[0-9]+\.[0-9]+|microvm`,
		"accel": accelerators, "kernel-irqchip": `on|off|split`, "smm": `on|off|auto`, "vmport": `on|off|auto`,
		"pic": `on|off|auto`, "pit": `on|off|auto`, "rtc": `on|off|auto`, "acpi": `on|off|auto`, "pcie": `on|off|auto`, "ioapic2": `on|off|auto`,
		"max-ram-below-4g": anySize,
	}
	for _, name := range []string{"usb", "hpet", "graphics", "mem-merge", "dump-guest-core", "smbus", "sata", "i8042", "isa-serial", "option-roms", "x-option-roms", "auto-kernel-cmdline"} {
		out[name] = anyOnOff
	}
	return out
}

// devices are the device models that a twin may have, with their properties. None
// of them has a backend on the host other than a disk, a network or a character
// device that was allowed by itself.
func devices() map[string]properties {
	common := properties{"id": anyID, "bus": anyWord, "addr": `[0-9a-fA-Fx.]+`, "multifunction": anyOnOff, "bootindex": anyNumber}
	virtio := common.and(properties{
		"disable-legacy": `on|off|auto`, "disable-modern": anyOnOff, "iommu_platform": anyOnOff, "ats": anyOnOff, "packed": anyOnOff,
		"vectors": anyNumber, "event_idx": anyOnOff, "indirect_desc": anyOnOff, "any_layout": anyOnOff,
	})
	disk := common.and(properties{
		"drive": anyID, "serial": anyText, "logical_block_size": anyNumber, "physical_block_size": anyNumber, "min_io_size": anyNumber,
		"opt_io_size": anyNumber, "discard_granularity": anyNumber, "write-cache": `on|off|auto`, "werror": anyWord, "rerror": anyWord,
		"wwn": anyNumber, "ver": anyWord, "model": anyText, "vendor": anyText, "product": anyText, "device_id": anyText, "rotation_rate": anyNumber,
		"scsi-id": anyNumber, "channel": anyNumber, "lun": anyNumber, "unit": anyNumber, "removable": anyOnOff,
	})
	queues := properties{"num-queues": anyNumber, "num_queues": anyNumber, "queue-size": anyNumber, "virtqueue_size": anyNumber, "iothread": anyID, "max_sectors": anyNumber, "cmd_per_lun": anyNumber}
	port := common.and(properties{"chassis": anyNumber, "slot": anyNumber, "port": `[0-9a-fA-Fx]+`, "hotplug": anyOnOff, "chassis_nr": anyNumber, "shpc": anyOnOff})
	serial := common.and(properties{"chardev": anyID, "name": anyWord, "nr": anyNumber, "index": anyNumber})
	screen := common.and(properties{"vgamem_mb": anyNumber, "xres": anyNumber, "yres": anyNumber, "max_outputs": anyNumber, "edid": anyOnOff})
	card := virtio.and(networkCardProperties())

	out := map[string]properties{
		"nvme":    disk.and(queues).and(properties{"max_ioqpairs": anyNumber, "mdts": anyNumber, "cmb_size_mb": anyNumber, "msix_qsize": anyNumber}),
		"nvme-ns": disk.and(properties{"nsid": anyNumber, "uuid": anyWord, "eui64": anyNumber}),
		"vmgenid": {"guid": anyWord, "id": anyID}, "i6300esb": common, "pvpanic": common.and(properties{"ioport": anyNumber, "events": anyNumber}), "pvpanic-pci": common,
		"intel-iommu": {"intremap": `on|off|auto`, "caching-mode": anyOnOff, "device-iotlb": anyOnOff, "eim": `on|off|auto`, "aw-bits": anyNumber, "id": anyID},
	}
	each := func(p properties, models ...string) {
		for _, m := range models {
			out[m] = p
		}
	}
	each(card, "virtio-net", "virtio-net-pci", "virtio-net-pci-transitional", "virtio-net-pci-non-transitional", "virtio-net-device", "e1000", "e1000e", "rtl8139", "vmxnet3")
	each(virtio.and(disk).and(queues).and(properties{"config-wce": anyOnOff, "discard": anyOnOff, "write-zeroes": anyOnOff, "scsi": anyOnOff}),
		"virtio-blk", "virtio-blk-pci", "virtio-blk-pci-transitional", "virtio-blk-pci-non-transitional", "virtio-blk-device")
	each(virtio.and(queues), "virtio-scsi", "virtio-scsi-pci", "virtio-scsi-pci-transitional", "virtio-scsi-pci-non-transitional", "virtio-scsi-device")
	each(common.and(queues), "ahci", "ich9-ahci", "lsi53c895a", "megasas", "megasas-gen2", "pvscsi", "piix3-ide")
	each(disk, "ide-hd", "ide-cd", "scsi-hd", "scsi-cd", "usb-storage")
	each(virtio.and(properties{"rng": anyID, "max-bytes": anyNumber, "period": anyNumber}),
		"virtio-rng", "virtio-rng-pci", "virtio-rng-pci-transitional", "virtio-rng-pci-non-transitional", "virtio-rng-device")
	each(virtio.and(properties{"deflate-on-oom": anyOnOff, "free-page-reporting": anyOnOff}),
		"virtio-balloon", "virtio-balloon-pci", "virtio-balloon-pci-transitional", "virtio-balloon-pci-non-transitional", "virtio-balloon-device")
	each(virtio.and(properties{"max_ports": anyNumber}), "virtio-serial", "virtio-serial-pci", "virtio-serial-device")
	each(serial, "virtserialport", "virtconsole", "isa-serial", "pci-serial")
	each(common.and(properties{"port": anyWord, "p2": anyNumber, "p3": anyNumber, "serial": anyText}),
		"qemu-xhci", "nec-usb-xhci", "usb-ehci", "ich9-usb-ehci1", "ich9-usb-uhci1", "ich9-usb-uhci2", "ich9-usb-uhci3", "piix3-usb-uhci", "piix4-usb-uhci", "usb-hub",
		"usb-tablet", "usb-mouse", "usb-kbd")
	each(virtio, "virtio-keyboard-pci", "virtio-mouse-pci", "virtio-tablet-pci")
	each(port, "pcie-root-port", "pcie-pci-bridge", "pci-bridge", "ioh3420", "x3130-upstream", "xio3130-downstream")
	each(screen, "VGA", "virtio-vga", "virtio-gpu-pci", "cirrus-vga", "qxl-vga", "bochs-display", "vmware-svga")
	return out
}

func networkCardProperties() properties {
	out := properties{
		"netdev": anyID, "mac": anyMAC, "romfile": ``, "rombar": `0|1`, "rx_queue_size": anyNumber, "tx_queue_size": anyNumber,
		"host_mtu": anyNumber, "speed": anyNumber, "duplex": `half|full`, "tx": `timer|bh`,
	}
	for _, name := range []string{
		"mq", "csum", "gso", "guest_csum", "guest_tso4", "guest_tso6", "guest_ecn", "guest_ufo", "host_tso4", "host_tso6", "host_ecn", "host_ufo",
		"mrg_rxbuf", "status", "ctrl_vq", "ctrl_rx", "ctrl_vlan", "ctrl_mac_addr", "ctrl_guest_offloads", "rss", "hash",
	} {
		out[name] = anyOnOff
	}
	return out
}

// platform are devices that every machine has, and that jobs set by -global alone.
func platform() map[string]properties {
	power := properties{"disable_s3": `0|1`, "disable_s4": `0|1`, "s4_val": anyNumber}
	return map[string]properties{
		"PIIX4_PM": power, "ICH9-LPC": power.and(properties{"noreboot": anyOnOff}),
		"kvm-pit": {"lost_tick_policy": `delay|discard`}, "mc146818rtc": {"lost_tick_policy": `discard|slew`},
		"hpet": {"msi": anyOnOff}, "isa-debugcon": {"iobase": anyNumber},
		"cfi.pflash01": {"secure": anyOnOff}, "mch": {"extended-tseg-mbytes": anyNumber},
	}
}

// device is one device of the machine.
func (r *reader) device(a argument) error {
	o, err := a.split("driver")
	if err != nil {
		return err
	}
	known := devices()
	allowed, ok := known[o.get("driver")]
	if !ok || o[0].key != "driver" {
		return a.refuse("device %q is not allowed in a twin (allowed: %s)", o.get("driver"), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if err := a.check(o.without("driver"), allowed); err != nil {
		return err
	}
	r.keep(a.flag, o.write("driver"))
	return nil
}

// global sets a property of every device of a model.
func (r *reader) global(a argument) error {
	known := devices()
	maps.Copy(known, platform())
	var o options
	if name, value, ok := strings.Cut(a.value, "="); ok && !strings.Contains(name, ",") && name != "driver" {
		// A model may have dots in its name, and a property has none.
		at := strings.LastIndexByte(name, '.')
		if at < 0 {
			return a.refuse("%q is not allowed in a twin; write it as model.property=value", a.value)
		}
		o = options{{"driver", name[:at]}, {"property", name[at+1:]}, {"value", value}}
	} else {
		var err error
		if o, err = a.split(""); err != nil {
			return err
		}
		if err := a.check(o, properties{"driver": anyWord, "property": anyWord, "value": anyText}); err != nil {
			return err
		}
	}
	allowed, ok := known[o.get("driver")]
	if !ok {
		return a.refuse("device %q is not allowed in a twin", o.get("driver"))
	}
	if err := a.check(options{{o.get("property"), o.get("value")}}, allowed); err != nil {
		return err
	}
	r.keep(a.flag, options{{"driver", o.get("driver")}, {"property", o.get("property")}, {"value", o.get("value")}}.write(""))
	return nil
}

// object is a helper of a device. It reads no file but the kernel's source of
// random numbers.
func (r *reader) object(a argument) error {
	known := map[string]properties{
		"rng-random":         {"id": anyID, "filename": `/dev/u?random|/dev/hwrng`},
		"rng-builtin":        {"id": anyID},
		"iothread":           {"id": anyID, "poll-max-ns": anyNumber},
		"memory-backend-ram": {"id": anyID, "size": anySize, "share": `off`, "merge": anyOnOff, "dump": anyOnOff},
	}
	o, err := a.split("qom-type")
	if err != nil {
		return err
	}
	allowed, ok := known[o.get("qom-type")]
	if !ok || o[0].key != "qom-type" {
		return a.refuse("object %q is not allowed in a twin (allowed: %s)", o.get("qom-type"), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	if err := a.check(o.without("qom-type"), allowed); err != nil {
		return err
	}
	r.keep(a.flag, o.write("qom-type"))
	return nil
}
