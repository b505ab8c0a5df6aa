package config_test

import (
	"os"
	"strings"
	"testing"

	"github.com/surgewall/surgewall/config"
)

func TestTheDocumentedControllerFileIsTheDefaults(t *testing.T) {
	data, err := os.ReadFile("controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	flags := bind(config.NewController())
	sources, err := config.Load(flags, "controller.yaml", data, noEnv)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := printed(t, flags), printed(t, bind(config.NewController())); got != want {
		t.Errorf("the file says\n%s\nthe defaults are\n%s", got, want)
	}
	for _, key := range config.Keys(flags) {
		if sources[key] == "" {
			t.Errorf("controller.yaml does not document %s", key)
		}
	}
}

func TestControllerSettingsThatAreNotAllowed(t *testing.T) {
	for text, want := range map[string]string{
		"":                           "",
		"namespace: cdn":             "",
		"listen: '8082'":             `listen: "8082"`,
		"lease-name: Surge.Wall":     `lease-name: "Surge.Wall"`,
		"namespace: kube_system":     `namespace: "kube_system"`,
		"replica: a.b":               `replica: "a.b"`,
		"amqp-url: http://localhost": "amqp[s]://",
	} {
		settings := config.NewController()
		if _, err := config.Load(bind(settings), "f.yaml", []byte(text), noEnv); err != nil {
			t.Fatal(err)
		}
		err := settings.Validate()
		if (want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
}
