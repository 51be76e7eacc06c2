//go:build e2e

package containers

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/internal/inventory"
	"github.com/oakumhq/oakum/internal/nomad/sandbox"
	"github.com/oakumhq/oakum/internal/twin"
)

// TestReadContainer reads what is installed in the images of containers that run.
func TestReadContainer(t *testing.T) {
	v, client, _ := vendor(t)
	box := sandbox.New(client, sandbox.Options{DockerHost: "unix://" + running.DockerSocket()})
	image := func(name string, files map[string]string) {
		t.Helper()
		root := t.TempDir()
		busybox, err := os.ReadFile("/bin/busybox")
		must.NoError(t, err)
		files["sleep"] = string(busybox)
		for name, text := range files {
			must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
			must.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o755))
		}
		must.NoError(t, running.ImportImage(t.Context(), name, root))
	}
	const system = "ID=debian\nVERSION_ID=\"12\"\n"
	status := func(name string) string {
		return "Package: " + name + "\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.2-3\nDescription: it\n is long\n"
	}
	image("read-debian:1", map[string]string{"etc/os-release": system, "var/lib/dpkg/status": status("bash") + "\n" + status("zlib1g")})
	image("read-distroless:1", map[string]string{
		"usr/lib/os-release": system, "var/lib/dpkg/status.d/base": strings.Replace(status("base-files"), "Status: install ok installed\n", "", 1),
		"var/lib/dpkg/status.d/libc6": status("libc6"), "var/lib/dpkg/status.d/libc6.md5sums": "0a  usr/lib/libc.so\n",
	})
	image("read-alpine:1", map[string]string{"etc/os-release": "ID=alpine\nVERSION_ID=3.20.1\n", "lib/apk/db/installed": "C:Q1\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl\n\n"})
	image("read-rpm:1", map[string]string{
		"etc/os-release": "ID=fedora\nVERSION_ID=42\n", "var/lib/rpm/rpmdb.sqlite": "x", "sh": "",
	})
	image("read-nothing:1", map[string]string{"etc/os-release": system})

	for name, c := range map[string]struct {
		want  string
		fails string
	}{
		"debian":     {want: "bash zlib1g"},
		"distroless": {want: "base-files libc6"},
		"alpine":     {want: "musl"},
		"rpm":        {fails: "the rpm of the image can't tell its database"},
		"nothing":    {fails: "there is no database of dpkg, apk or rpm"},
	} {
		t.Run(name, func(t *testing.T) {
			job := shopJob("read-"+name, "read-"+name+":1")
			job.TaskGroups[0].Services = nil
			job.TaskGroups[0].Tasks[0].SetConfig("command", "/sleep").SetConfig("args", []string{"3600"})
			target := runProduction(t, job)
			spec := twin.ReadSpec{Job: twin.JobID("inventory", name, "read"), Target: target.TargetRef, Task: "server", RPMFormat: inventory.RPMFormat}
			got, err := box.ReadContainer(t.Context(), spec, "")
			jobs, _, listed := v.Jobs().List(&nomadapi.QueryOptions{Prefix: twin.Prefix})
			must.NoError(t, listed)
			must.SliceEmpty(t, jobs)
			must.EqOp(t, "", running.Docker(t.Context(), "ps", "-a", "-q", "--filter", "name="+twin.Prefix))
			var names []string
			if err == nil {
				must.EqOp(t, running.Docker(t.Context(), "image", "inspect", "--format", "{{.Id}}", "read-"+name+":1"), "sha256:"+got.Digest)
				inv, read := inventory.FromImage(name, got.Databases)
				for _, p := range inv.Packages {
					names = append(names, p.Name)
				}
				err = read
			}
			if c.fails != "" {
				must.ErrorContains(t, err, c.fails)
				return
			}
			must.NoError(t, err)
			must.EqOp(t, c.want, strings.Join(names, " "))
			_, err = box.ReadContainer(t.Context(), spec, "sha256:"+strings.Repeat("0", 64))
			must.ErrorContains(t, err, "which its job says")
			again, err := box.ReadContainer(t.Context(), spec, "sha256:"+got.Digest)
			must.NoError(t, err)
			must.Eq(t, got, again)
		})
	}
}

// TestReadContainer_TellsInstancesApartByTheirImages moves a tag between two jobs that name it.
func TestReadContainer_TellsInstancesApartByTheirImages(t *testing.T) {
	_, client, _ := vendor(t)
	box := sandbox.New(client, sandbox.Options{DockerHost: "unix://" + running.DockerSocket()})
	start := func(id, version string) api.Target {
		t.Helper()
		root := t.TempDir()
		busybox, err := os.ReadFile("/bin/busybox")
		must.NoError(t, err)
		for name, text := range map[string]string{
			"sleep": string(busybox), "etc/os-release": "ID=debian\nVERSION_ID=\"12\"\n",
			"var/lib/dpkg/status": "Package: bash\nStatus: install ok installed\nArchitecture: amd64\nVersion: " + version + "\n",
		} {
			must.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(root, name)), 0o755))
			must.NoError(t, os.WriteFile(filepath.Join(root, name), []byte(text), 0o755))
		}
		must.NoError(t, running.ImportImage(t.Context(), "read-moved:1", root))
		job := shopJob(id, "read-moved:1")
		job.TaskGroups[0].Services = nil
		job.TaskGroups[0].Tasks[0].SetConfig("command", "/sleep").SetConfig("args", []string{"3600"})
		return runProduction(t, job)
	}
	one := start("read-moved-one", "1")
	spec := twin.ReadSpec{Job: twin.JobID("inventory", "moved", "read"), Target: one.TargetRef, Task: "server", RPMFormat: inventory.RPMFormat}
	spec.Alike = []twin.TaskRef{{Target: one.TargetRef, Task: "server"}}
	former, err := box.ReadContainer(t.Context(), spec, "")
	must.NoError(t, err)
	two := start("read-moved-two", "2")
	again, err := box.ReadContainer(t.Context(), spec, "")
	must.NoError(t, err)
	must.EqOp(t, former.Digest, again.Digest, must.Sprint("it is of what runs, and not of what the tag means now"))
	spec.Alike = append(spec.Alike, twin.TaskRef{Target: two.TargetRef, Task: "server"})
	_, err = box.ReadContainer(t.Context(), spec, "")
	differ, ok := errors.AsType[*twin.DifferError](err)
	must.True(t, ok, must.Sprint(err))
	must.StrContains(t, differ.Runs, "1 of 2 have the image sha256:"+former.Digest[:12])
}
