package boot

import "runtime/debug"

// version is set by the linker (-X) in release builds.
var version string

// Version returns the release, or for a build from a checkout its revision.
func Version() string {
	if version != "" {
		return version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	revision, modified := "", ""
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			revision = setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			modified = "+changes"
		}
	}
	if len(revision) >= 12 {
		return "devel-" + revision[:12] + modified
	}
	return "devel"
}
