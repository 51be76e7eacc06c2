package workload_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/shoenig/test/must"

	"github.com/oakumhq/oakum/examples/shop/workload"
)

func TestOpenData_RefusesANewerFormat(t *testing.T) {
	folder := t.TempDir()
	must.NoError(t, workload.OpenData("", 1))
	must.NoError(t, workload.OpenData(folder, 1))
	must.NoError(t, workload.OpenData(folder, 2), must.Sprint("a migration"))
	must.NoError(t, workload.OpenData(folder, 2))
	must.ErrorContains(t, workload.OpenData(folder, 1), "has format 2, and this version reads 1 at most")

	must.NoError(t, os.WriteFile(filepath.Join(folder, "shop-format"), []byte("new"), 0o600))
	must.ErrorContains(t, workload.OpenData(folder, 1), "read the format of the data")
	must.Error(t, workload.OpenData(filepath.Join(folder, "none"), 1))
}
