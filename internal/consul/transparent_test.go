package consul_test

import (
	"testing"

	"github.com/shoenig/test/must"
)

// TestMesh_KnowsTransparentProxiesByRegistrationAndDefaults: the narrower word
// counts, and a proxy that says direct is not transparent whatever the defaults.
func TestMesh_KnowsTransparentProxiesByRegistrationAndDefaults(t *testing.T) {
	proxies := func(modes map[string]string) map[string]any {
		answers := catalogOf()
		var list []object
		for of, mode := range modes {
			list = append(list, object{"Node": "n1", "ServiceName": "a-sidecar-proxy", "ServiceID": "p-" + of,
				"ServiceProxy": object{"DestinationServiceName": of, "Mode": mode}})
		}
		answers["/v1/catalog/service/a-sidecar-proxy"] = list
		return answers
	}
	transparent := func(answers map[string]any) []string {
		m, partial, err := (&agent{answers: answers}).client(t, "secret").Mesh(t.Context())
		must.NoError(t, err)
		must.Eq(t, "", partial)
		must.MapEmpty(t, m.Declared, must.Sprint("a permission is no upstream"))
		return m.Transparent
	}
	answers := proxies(map[string]string{"plain": "", "clear": "transparent", "straight": "direct"})
	must.Eq(t, []string{"clear"}, transparent(answers))
	answers["/v1/config/service-defaults"] = []object{{"Kind": "service-defaults", "Name": "plain", "Mode": "transparent"}}
	must.Eq(t, []string{"clear", "plain"}, transparent(answers))
	answers["/v1/config/service-defaults"] = []object{{"Kind": "service-defaults", "Name": "plain", "Mode": "direct"}}
	answers["/v1/config/proxy-defaults"] = []object{{"Kind": "proxy-defaults", "Name": "global", "Mode": "transparent"}}
	answers["/v1/catalog/service/a-sidecar-proxy"] = append(answers["/v1/catalog/service/a-sidecar-proxy"].([]object),
		object{"Node": "n1", "ServiceName": "a-sidecar-proxy", "ServiceID": "p-other", "ServiceProxy": object{"DestinationServiceName": "other"}})
	must.Eq(t, []string{"clear", "other"}, transparent(answers))
}
