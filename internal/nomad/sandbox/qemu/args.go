package qemu

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/oakumhq/oakum/api"
)

// reader turns the arguments of a task into those of its twin. What it does not
// know, it refuses.
type reader struct {
	task     Task
	snapshot bool // QEMU keeps no write to any disk of the job
	out      Machine
}

// rule is what a flag means for a twin.
type rule struct {
	bare bool // takes no value
	drop bool // is left out
	// allowed and implied are for flags whose value is a list of options, which
	// are kept as they are.
	allowed properties
	implied string
	// pattern is for flags with a plain value.
	pattern string
	// read is for every other flag.
	read func(*reader, argument) error
}

// rules are the flags that a twin may have, without dashes.
func rules() map[string]rule {
	bare, drop := rule{bare: true}, rule{bare: true, drop: true}
	out := map[string]rule{
		"nographic": bare, "no-reboot": bare, "no-shutdown": bare, "nodefaults": bare, "no-user-config": bare,
		"no-acpi": bare, "no-hpet": bare, "no-fd-bootchk": bare, "enable-kvm": bare, "usb": bare,
		"snapshot": drop, // the twin's disks are its own already
		"display":  {pattern: `none`},
		"vga":      {pattern: `none|std|cirrus|virtio|vmware|qxl`},
		"monitor":  {pattern: `none|null`},
		"parallel": {pattern: `none|null`},
		"serial":   {read: (*reader).serial},
		"sandbox":  {drop: true, pattern: anyText}, // it has the twin's own
		"uuid":     {pattern: `[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}`},
		"name":     {implied: "guest", allowed: properties{"guest": anyText}},
		"append":   {pattern: `[^\x00]*`},
		"cpu":      {read: (*reader).cpu},
		"smp": {implied: "cpus", allowed: properties{
			"cpus": anyNumber, "sockets": anyNumber, "dies": anyNumber, "clusters": anyNumber, "cores": anyNumber, "threads": anyNumber, "maxcpus": anyNumber,
		}},
		"m":     {implied: "size", allowed: properties{"size": anySize, "slots": anyNumber, "maxmem": anySize}},
		"accel": {implied: "accel", allowed: properties{"accel": accelerators, "thread": `single|multi`, "tb-size": anyNumber, "kernel-irqchip": `on|off|split`}},
		"rtc":   {allowed: properties{"base": `utc|localtime|[0-9T:-]+`, "clock": `host|rt|vm`, "driftfix": `none|slew`}},
		"boot": {implied: "order", allowed: properties{
			"order": `[a-p]+`, "once": `[a-p]+`, "menu": anyOnOff, "strict": anyOnOff, "reboot-timeout": anyNumber, "splash-time": anyNumber,
		}},
		"action": {allowed: properties{
			"reboot": `reset|shutdown`, "shutdown": `poweroff|pause`, "panic": `pause|shutdown|exit-failure|none`, "watchdog": `reset|shutdown|poweroff|inject-nmi|pause|debug|none`,
		}},
		"smbios":   {allowed: smbios()},
		"fw_cfg":   {implied: "name", allowed: properties{"name": `opt/[A-Za-z0-9_./-]+`, "string": anyText}},
		"audiodev": {implied: "driver", allowed: properties{"driver": `none`, "id": anyID}},
		"chardev":  {implied: "backend", allowed: properties{"backend": `null|stdio`, "id": anyID, "mux": anyOnOff, "signal": anyOnOff}},
		"object":   {read: (*reader).object},
		"global":   {read: (*reader).global},
		"device":   {read: (*reader).device},
		"netdev":   {read: (*reader).network}, "nic": {read: (*reader).network}, "net": {read: (*reader).network},
		"drive": {read: (*reader).drive}, "blockdev": {read: (*reader).blockdev}, "cdrom": {read: (*reader).cdrom}, "pflash": {read: (*reader).pflash},
		"hda": {read: (*reader).disk}, "hdb": {read: (*reader).disk}, "hdc": {read: (*reader).disk}, "hdd": {read: (*reader).disk},
		"kernel": {read: (*reader).plainFile}, "initrd": {read: (*reader).plainFile}, "bios": {read: (*reader).firmware},
		"machine": {implied: "type", allowed: machines()},
	}
	out["M"] = out["machine"]
	return out
}

// smbios are the fields that the guest's firmware tells. The ones that read a file
// are not among them.
func smbios() properties {
	out := properties{"type": anyNumber, "uefi": anyOnOff}
	for _, field := range []string{
		"vendor", "version", "date", "release", "manufacturer", "product", "serial", "uuid", "sku", "family", "asset", "location",
		"sock_pfx", "part", "value", "loc_pfx", "bank", "speed", "max-speed", "current-speed", "processor-id", "internal_reference",
		"external_reference", "connector_type", "port_type", "slot_designation",
	} {
		out[field] = anyText
	}
	return out
}

// readArguments reads the QEMU arguments of a task, and what they open and forward. They
// are written anew from what was read, so that QEMU can read nothing else in them.
func readArguments(task Task) (Machine, error) {
	r := &reader{task: task}
	words, err := Words(task.Name, task.Config)
	if err != nil {
		return Machine{}, err
	}
	list, err := r.flags(words)
	if err != nil {
		return Machine{}, err
	}
	known := rules()
	for _, a := range list {
		if a, err = task.expand(a, variablesIn(a.flag)); err != nil {
			return Machine{}, err
		}
		if err := r.apply(a, known[a.flag[1:]]); err != nil {
			return Machine{}, err
		}
	}
	if len(r.out.Ports) == 0 {
		return Machine{}, api.Errorf(api.CodeInvalid,
			"task %q forwards no TCP port of its group into the machine (-netdev user,hostfwd=tcp::${NOMAD_PORT_...}-:...): a twin could not be reached", task.Name)
	}
	return r.out, nil
}

// flags finds flags and their values in the words of a command line. QEMU takes one
// dash or two, no abbreviation, and the value as the next word, whatever it looks
// like. A word that is no flag is a disk.
func (r *reader) flags(words []string) ([]argument, error) {
	known := rules()
	var out []argument
	for i := 0; i < len(words); i++ {
		a := argument{path: fmt.Sprintf("task %q, args[%d]", r.task.Name, i), flag: words[i]}
		name, dashed := strings.CutPrefix(words[i], "-")
		if !dashed {
			return nil, a.refuse("a disk without a flag is not allowed in a twin; use -drive")
		}
		name = strings.TrimPrefix(name, "-")
		flag, ok := known[name]
		if !ok {
			return nil, a.refuse("it is not allowed in a twin (allowed: -%s)", strings.Join(slices.Sorted(maps.Keys(known)), ", -"))
		}
		a.flag = "-" + name
		if name == "snapshot" {
			r.snapshot = true
		}
		if !flag.bare {
			if i++; i >= len(words) {
				return nil, a.refuse("it lacks its value")
			}
			a.value = words[i]
		}
		out = append(out, a)
	}
	return out, nil
}

// variablesIn are the variables that a flag's value may have.
func variablesIn(flag string) string {
	switch flag {
	case "-drive", "-blockdev", "-cdrom", "-pflash", "-hda", "-hdb", "-hdc", "-hdd", "-kernel", "-initrd", "-bios":
		return pathVariables
	}
	return plainVariables
}

func (r *reader) apply(a argument, rule rule) error {
	if rule.read != nil {
		return rule.read(r, a)
	}
	switch {
	case rule.drop:
		return nil
	case rule.bare:
		r.out.Args = append(r.out.Args, a.flag)
		return nil
	case rule.pattern != "":
		if !matches(rule.pattern, a.value) {
			return a.refuse("%q is not allowed in a twin (allowed: %s)", a.value, rule.pattern)
		}
		r.keep(a.flag, a.value)
		return nil
	}
	o, err := a.split(rule.implied)
	if err == nil {
		err = a.check(o, rule.allowed)
	}
	if err != nil {
		return err
	}
	r.keep(a.flag, o.write(rule.implied))
	return nil
}

// keep gives the twin a flag.
func (r *reader) keep(flag, value string) { r.out.Args = append(r.out.Args, flag, value) }

// serial is a port of the guest that may show its console, and nothing else.
func (r *reader) serial(a argument) error {
	if !matches(`none|null|stdio|mon:stdio`, a.value) {
		return a.refuse("%q is not allowed in a twin (allowed: none, null, stdio)", a.value)
	}
	r.keep(a.flag, strings.TrimPrefix(a.value, "mon:"))
	return nil
}

// cpu is a model and features of it, which belong to the guest alone.
func (r *reader) cpu(a argument) error {
	const feature = `[+-]?[A-Za-z0-9][A-Za-z0-9_.-]*(=[A-Za-z0-9_.:-]+)?`
	if !matches(`[A-Za-z0-9][A-Za-z0-9_.-]*(,`+feature+`)*`, a.value) {
		return a.refuse("%q is not allowed in a twin (allowed: MODEL,+feature,-feature,feature=value,...)", a.value)
	}
	r.keep(a.flag, a.value)
	return nil
}
