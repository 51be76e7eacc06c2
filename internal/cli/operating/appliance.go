package operating

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/oakumhq/oakum/internal/appliance"
	"github.com/oakumhq/oakum/internal/appliance/manifests"
	"github.com/oakumhq/oakum/internal/cli/command"
)

func applianceBuild(e *command.Env) *command.Command {
	c := command.New("appliance build", command.None(), "Make the machine in which scripts run", `
Makes an appliance out of a Linux kernel, its modules and a statically linked
busybox, and prints the block of the agent's configuration that names it. The
same files give the same appliance. Nothing is contacted.

Put the two files where Nomad's clients can fetch them over HTTP, and set source
to their URLs; or put them at the same absolute path on every client.

    $ apt-get download linux-image-6.1.0-57-cloud-amd64
    $ dpkg -x linux-image-6.1.0-57-cloud-amd64_*.deb kernel
    $ oakum appliance build -kernel=kernel/boot/vmlinuz-6.1.0-57-cloud-amd64 \
        -modules=kernel/lib/modules -busybox=/bin/busybox -out=appliance`).Prints()
	kernel := c.Flags.String("kernel", "", "`Path` of the kernel, a bzImage.")
	modules := c.Flags.String("modules", "", "`Path` of the folder that holds the kernel's modules.")
	busybox := c.Flags.String("busybox", "", "`Path` of a statically linked busybox.")
	out := c.Flags.String("out", "", "`Path` of the folder to write vmlinuz and initrd to.")
	c.Run = func(_ context.Context, _ []string) error {
		for _, f := range []struct{ name, value string }{{"kernel", *kernel}, {"modules", *modules}, {"busybox", *busybox}, {"out", *out}} {
			if f.value == "" {
				return command.Usage("this command needs -%s", f.name)
			}
		}
		folder, err := filepath.Abs(*out)
		if err != nil {
			return fmt.Errorf("find folder %s: %w", *out, err)
		}
		built, err := appliance.Build(appliance.Ingredients{Kernel: *kernel, Modules: *modules, Busybox: *busybox}, folder)
		if err != nil {
			return err
		}
		result := builtAppliance{
			Kernel: builtFile{Source: filepath.Join(folder, appliance.KernelFile), Checksum: "sha256:" + built.Kernel},
			Initrd: builtFile{Source: filepath.Join(folder, appliance.InitrdFile), Checksum: "sha256:" + built.Initrd},
		}
		return e.Show(c.Out, result, func(w io.Writer) {
			fmt.Fprintf(w, "simulator {\n  appliance {\n%s%s  }\n}\n", result.Kernel.block("kernel"), result.Initrd.block("initrd"))
		})
	}
	return c
}

func applianceManifests(e *command.Env) *command.Command {
	c := command.New("appliance manifests", command.One("FOLDER"), "Print the packages of programming languages below a folder", `
Prints a line for each package of Go, npm, Python, Maven and Ruby that lies below
a folder, as a package URL, and lines that say of what not all could be read. The
appliance runs this command over the file systems of an image. Nothing of what
lies there runs.

What dpkg and apk have installed there is left out, since it is a package of the
distribution. Of rpm, -owned says what it has installed; without it, nothing
counts that lies where packages of rpm lie.`)
	list := c.Flags.String("owned", "", "`Path` of a file that has the path of each file that a package of rpm has installed, one a line.")
	c.Run = func(ctx context.Context, args []string) error {
		if *list == "" {
			return manifests.Print(ctx, args[0], nil, e.Stdout)
		}
		owned, err := os.Open(*list)
		if err != nil {
			return fmt.Errorf("read the list of files: %w", err)
		}
		defer func() { _ = owned.Close() }()
		return manifests.Print(ctx, args[0], owned, e.Stdout)
	}
	return c
}

// builtAppliance is what appliance build made.
type builtAppliance struct {
	Kernel builtFile `json:"kernel"`
	Initrd builtFile `json:"initrd"`
}

type builtFile struct {
	Source   string `json:"source"`
	Checksum string `json:"checksum"`
}

func (f builtFile) block(name string) string {
	return fmt.Sprintf("    %s {\n      source   = %q\n      checksum = %q\n    }\n", name, f.Source, f.Checksum)
}
