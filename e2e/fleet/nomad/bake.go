package nomad

import (
	"archive/tar"
	"encoding/base64"
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/oakumhq/oakum/internal/fleet"
)

// What internal/nomad calls the task that works on images, and the files of a bake.
const (
	bakeTask   = "oakum-bake"
	bakePatch  = "local/patch.tar.b64"
	bakeReport = "alloc/data/oakum-bake.report"

	// Where a node writes the digest of an image, and the argument that names the image.
	digestFile  = "alloc/data/oakum-digest"
	digestImage = 3
)

// bake is what the appliance reports when every script of a patch does its work and
// every command proves the fix. It is empty when the allocation bakes nothing.
func (s *Sandbox) bake(a *fleet.Alloc, t fleet.Task) string {
	result, bakes := t.Env["OAKUM_RESULT"]
	if !bakes {
		return ""
	}
	scripts, verifies := "", ""
	for _, name := range patchNames(a.Job) {
		if step, ok := strings.CutSuffix(name, "/script"); ok {
			scripts += fmt.Sprintf("script %s\nkilled 0\nstatus 0\n", step)
		}
		if m := regexp.MustCompile(`^(\d+)/verify/(\d+)$`).FindStringSubmatch(name); m != nil {
			verifies += fmt.Sprintf("verify %s %s\nkilled 0\noutput \nstatus 0\n", m[1], m[2])
		}
	}
	report := fmt.Sprintf("oakum 1\n%s%sproved\nend\n", scripts, verifies)
	switch {
	case t.Env["OAKUM_HASH"] != "":
		return report + "image " + s.digest(t.Env["OAKUM_IMAGE"]) + "\n"
	case result == "":
		return report // it is only looked into
	}
	digest := s.digest(t.Env["OAKUM_IMAGE"] + "\x00" + t.Env["OAKUM_PATCH_SHA256"])
	s.baked[result] = digest
	return report + "image " + digest + "\n"
}

// patchNames lists the files that a job puts on the patch's disk, in their order.
func patchNames(j *fleet.Job) []string {
	job, err := written(j)
	if err != nil {
		return nil
	}
	var names []string
	for _, task := range job.TaskGroups[0].Tasks {
		for _, t := range task.Templates {
			if t.DestPath == nil || *t.DestPath != bakePatch || t.EmbeddedTmpl == nil {
				continue
			}
			archive := tar.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(*t.EmbeddedTmpl)))
			for header, err := archive.Next(); err != io.EOF; header, err = archive.Next() {
				if err != nil {
					return nil // whoever sent it reads no script in the report
				}
				names = append(names, header.Name)
			}
		}
	}
	return names
}
