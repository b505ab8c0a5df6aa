package policy

import "maps"

// Preset names a set of defaults. It is applied first; every other key of the
// ConfigMap overrides it.
type Preset string

// The presets, from the quickest and dearest to the calmest and cheapest.
const (
	Rapid    Preset = "rapid"
	Balanced Preset = "balanced"
	Steady   Preset = "steady"
)

// presets holds what differs from the defaults of Keys; Balanced is them.
func (p Preset) values() map[string]string {
	switch p {
	case Rapid:
		return map[string]string{
			"spike-ratio":                "1.35",
			"spike-false-alarm-interval": "12h",
			"scale-down-hold":            "7m",
		}
	case Steady:
		return map[string]string{
			"spike-ratio":                "1.6",
			"spike-false-alarm-interval": "168h",
			"stable-window":              "2m",
			"scale-up-max-step":          "900%",
			"tolerance":                  "0.25",
		}
	}
	return nil
}

// Values returns the value of every key under this preset, as the ConfigMap
// would write them.
func (p Preset) Values() map[string]string {
	all := make(map[string]string, len(keys))
	for _, k := range keys {
		all[k.Name] = k.Default
	}
	maps.Copy(all, p.values())
	all["preset"] = string(p)
	return all
}
