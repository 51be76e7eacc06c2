// Package qemu reads what a job says of a virtual machine to Nomad's QEMU driver, and
// writes it anew for a twin of the machine: without every door that leads out of it. What
// it does not know, it refuses.
package qemu

import (
	"cmp"
	"fmt"

	"github.com/oakumhq/oakum/api"
)

// Task is a task of Nomad's QEMU driver.
type Task struct {
	Name   string
	Config map[string]any // as the job has it for the driver
	Ports  []string       // labels of its group's ports
	// Format is the format of the machine's image that the job declares beside the
	// image's name; empty for none.
	Format string
	// WriteOut puts the values of the variables that the job sets in their places.
	WriteOut func(text string) string
}

// Machine is the twin of a task's machine, as the driver is told it.
type Machine struct {
	Config map[string]any // without args and image_path
	Args   []string
	Disk   File     // the machine's image
	Files  []File   // what else the machine opens
	Ports  []string // labels of the group's TCP ports that are forwarded into the machine
	// Networks are the IDs of QEMU's networks.
	Networks []string
}

// Read returns the twin of a task's machine. What is not known to be harmless is an error
// of code invalid, which says where it is and what is allowed.
func Read(t Task) (Machine, error) {
	image, err := disk(t)
	if err != nil {
		return Machine{}, err
	}
	m, err := readArguments(t)
	if err != nil {
		return Machine{}, err
	}
	m.Disk = image
	m.Config, err = config(t)
	return m, err
}

// disk is the image of a machine.
func disk(t Task) (File, error) {
	a := argument{path: fmt.Sprintf("task %q, image_path", t.Name)}
	a.value, _ = t.Config["image_path"].(string)
	a, err := t.expand(a, pathVariables)
	if err != nil {
		return File{}, err
	}
	if why := badPath(a.value); why != "" {
		return File{}, a.refuse("%q is not allowed in a twin: %s", a.value, why)
	}
	f := File{Op: OpDisk, Name: DiskName, Path: a.value, Format: ImageFormat(a.value, t.Format)}
	if f.Format != FormatRaw && f.Format != FormatQcow2 {
		return File{}, a.refuse("the format of %s is not declared; set meta %s to raw or qcow2", f.Path, FormatMeta)
	}
	return f, nil
}

// config returns the fields of the driver's configuration that a twin keeps. The driver
// pastes some of them into QEMU's arguments.
func config(t Task) (map[string]any, error) {
	fields := properties{
		"emulator": `(qemu-system-)?(x86_64|i386)`, "accelerator": accelerators, "drive_interface": `ide|scsi|virtio|none`,
	}
	out := map[string]any{}
	for key, value := range t.Config {
		a := argument{path: fmt.Sprintf("task %q, %s", t.Name, key)}
		switch key {
		case "image_path", "args": // the twin has its own
			continue
		case "graceful_shutdown": // a twin is killed, and its monitor would be a door
			continue
		case "guest_agent":
			out[key] = value // the socket is in the allocation, and nobody reads it
			continue
		case "port_map":
			return nil, a.refuse("it makes a network that is not restricted; forward a port of the group with -netdev user,hostfwd=...")
		}
		a.value, _ = value.(string)
		a, err := t.expand(a, plainVariables)
		if err != nil {
			return nil, err
		}
		pattern, known := fields[key]
		switch {
		case a.value == "" && value == "":
			continue
		case key == "machine_type":
			o, err := a.split("type")
			if err == nil {
				err = a.check(o.without("accel"), machines())
			}
			if err != nil {
				return nil, err
			}
			a.value = o.without("accel").write("type")
		case !known:
			return nil, a.refuse("it is not allowed in a twin")
		case !matches(pattern, a.value):
			return nil, a.refuse("%q is not allowed in a twin (allowed: %s)", a.value, pattern)
		}
		out[key] = a.value
	}
	return out, nil
}

// Words returns the arguments of a task with this configuration.
func Words(task string, config map[string]any) ([]string, error) {
	list := config["args"]
	values, ok := list.([]any)
	if !ok && list != nil {
		return nil, api.Errorf(api.CodeInvalid, "task %q: args is no list", task)
	}
	out := make([]string, len(values))
	for i, v := range values {
		if out[i], ok = v.(string); !ok {
			return nil, api.Errorf(api.CodeInvalid, "task %q, args[%d]: it is no string", task, i)
		}
	}
	return out, nil
}

// ImageFormat is the format of a machine's image, or "" where it is not declared. The
// name comes first: the result of a bake ends in .qcow2, whatever it was made of.
func ImageFormat(image, declared string) string { return cmp.Or(formatByName(image), declared) }
