package boot_test

import "github.com/rs/zerolog"

var zerologNop = zerolog.Nop()
