//go:build e2e

package e2e

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	nomadapi "github.com/hashicorp/nomad/api"
	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/api"
	"github.com/oakumhq/oakum/e2e/daemon"
	"github.com/oakumhq/oakum/server/state/levels"
)

// programArchive is what a job has Nomad fetch: a program, a package of npm and a jar.
func programArchive(t *testing.T) []byte {
	t.Helper()
	var jar bytes.Buffer
	z := zip.NewWriter(&jar)
	pom, err := z.Create("META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties")
	must.NoError(t, err)
	_, err = pom.Write([]byte("groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n"))
	must.NoError(t, err)
	must.NoError(t, z.Close())
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	w := tar.NewWriter(packed)
	for _, f := range []struct{ name, text string }{
		{"run.sh", "#!/bin/sh\nexec sleep 100000\n"}, {"log4j.jar", jar.String()}, {"node_modules/lodash/package.json", `{"name": "lodash", "version": "4.17.20"}`},
	} {
		must.NoError(t, w.WriteHeader(&tar.Header{Name: f.name, Mode: 0o755, Size: int64(len(f.text)), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(f.text))
		must.NoError(t, err)
	}
	must.NoError(t, w.Close())
	must.NoError(t, packed.Close())
	return out.Bytes()
}

// TestImage_OfAProgramIsReadOnFirstSight has the leader read what a program of raw_exec is made of,
// and asks by an advisory whether it is hit.
func TestImage_OfAProgramIsReadOnFirstSight(t *testing.T) {
	o := newOakumWith(t, sharedStack(t), daemon.Options{Servers: 1, Paces: daemon.StackPaces(), ReadImages: true, Reader: true})
	eventually(t, "the cluster keeps inventories", time.Minute, func() bool {
		all := o.states()
		return len(all) == 1 && all[0].Level >= levels.Eight
	})
	content := programArchive(t)
	digest := sha256.Sum256(content)
	sum := "sha256:" + hex.EncodeToString(digest[:])
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(content) }))
	t.Cleanup(server.Close)
	const id = "read-program"
	job := nomadapi.NewServiceJob(id, id, "global", 50)
	job.Datacenters = []string{"*"}
	task := nomadapi.NewTask("app", "raw_exec").SetConfig("command", "local/run.sh")
	task.Artifacts = []*nomadapi.TaskArtifact{{GetterSource: new(server.URL + "/app.tar.gz"), GetterOptions: map[string]string{"checksum": sum}}}
	task.Resources = &nomadapi.Resources{CPU: new(50), MemoryMB: new(32)}
	group := nomadapi.NewTaskGroup("app", 1)
	group.Tasks = []*nomadapi.Task{task}
	job.TaskGroups = []*nomadapi.TaskGroup{group}
	_, _, err := o.vendor.Jobs().Register(job, nil)
	must.NoError(t, err)
	endJob(t, o.vendor, id)

	found := o.inventoried(id, "app", 4*time.Minute)
	must.EqOp(t, sum, found.Record.Of)
	must.EqOp(t, api.InventoryImage, found.Record.Origin)
	shown := o.does(o.pipeline, "inventory", "show", "target:default/"+id+"/app").Stdout
	t.Log(shown)
	for _, want := range []string{"maven, npm", "org.apache.logging.log4j:log4j-core", "2.14.1", "lodash", "4.17.20"} {
		must.StrContains(t, shown, want)
	}
	eventually(t, "nothing is left of the reading", time.Minute, func() bool { return len(readings(t, o.vendor)) == 0 })
}
