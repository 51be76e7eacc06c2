package inventory_test

import (
	"testing"

	"github.com/shoenig/test/must"
	"pgregory.net/rapid"

	"github.com/oakumhq/oakum/internal/inventory"
)

func TestCompare_FollowsTheEcosystem(t *testing.T) {
	for _, c := range []struct {
		ecosystem, a, b string
		want            int
	}{
		{"deb", "3.0.17-1~deb12u2", "3.0.22-1~deb12u2", -1},
		{"deb", "3.0.16-1~deb12u1", "3.0.16-1", -1},
		{"deb", "1:1.2-3", "2.0-1", 1},
		{"deb", "1.0-1+b1", "1.0-1", 1},
		{"deb", "1.0~rc1-1", "1.0-1", -1},
		{"deb", "5.6.1+really5.4.5-1", "5.6.1-1", 1},
		{"deb", "2.36-9+deb12u14", "2.36-9+deb12u14", 0},
		{"rpm", "3.0.7-16.el9_2", "3.0.7-24.el9", -1},
		{"rpm", "1:1.1.1k-6.el8", "1.1.1k-9.el8", 1},
		{"rpm", "1.0~rc1-1", "1.0-1", -1},
		{"rpm", "1.0^git1-1", "1.0-1", 1},
		{"apk", "3.1.4-r1", "3.1.4-r2", -1},
		{"apk", "1.2.3_rc1-r0", "1.2.3-r0", -1},
		{"go", "1.2.3", "1.10.0", -1},
		{"npm", "1.0.0-alpha.1", "1.0.0", -1},
		{"pypi", "1.0.post1", "1.0", 1},
		{"maven", "1.0-SNAPSHOT", "1.0", -1},
	} {
		have, err := inventory.Compare(c.ecosystem, c.a, c.b)
		must.NoError(t, err, must.Sprint(c))
		must.Eq(t, c.want, have, must.Sprint(c))
		back, err := inventory.Compare(c.ecosystem, c.b, c.a)
		must.NoError(t, err)
		must.Eq(t, -c.want, back, must.Sprint(c))
	}
}

func TestCompare_RefusesWhatItCannotCompare(t *testing.T) {
	for _, c := range [][3]string{{"windows", "1", "2"}, {"deb", "", "1"}, {"deb", "1", "2 3"}, {"", "1", "2"}} {
		_, err := inventory.Compare(c[0], c[1], c[2])
		must.Error(t, err, must.Sprint(c))
	}
}

func TestCompare_IsAnOrder(t *testing.T) {
	version := rapid.StringMatching(`[0-9]{1,2}(\.[0-9]{1,2}){0,2}([~+][a-z0-9]{1,3})?(-[0-9](~deb[0-9]u[0-9])?)?`)
	rapid.Check(t, func(t *rapid.T) {
		a, b, c := version.Draw(t, "a"), version.Draw(t, "b"), version.Draw(t, "c")
		compare := func(x, y string) int {
			n, err := inventory.Compare("deb", x, y)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		if compare(a, b) != -compare(b, a) {
			t.Fatalf("%s and %s", a, b)
		}
		if compare(a, b) <= 0 && compare(b, c) <= 0 && compare(a, c) > 0 {
			t.Fatalf("%s, %s, %s", a, b, c)
		}
	})
}
