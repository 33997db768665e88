package redisstore

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
)

// A Script is a Lua script.
type Script struct {
	// Source is the script itself, for EVAL.
	Source string
	// SHA1 is its digest in hexadecimal, for EVALSHA.
	SHA1 string
}

var (
	//go:embed now.lua
	nowSource string
	//go:embed fast.lua
	fastSource string
	//go:embed count.lua
	countSource string
	//go:embed take.lua
	takeSource string
	//go:embed give.lua
	giveSource string

	takeScript = newScript(nowSource + fastSource + countSource + takeSource)
	giveScript = newScript(nowSource + countSource + giveSource)
)

func newScript(source string) *Script {
	sum := sha1.Sum([]byte(source)) // the protocol names scripts so; nothing rests on it
	return &Script{Source: source, SHA1: hex.EncodeToString(sum[:])}
}
