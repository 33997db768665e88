package main

import (
	"bufio"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"

	"github.com/merlonhq/merlon/audit"
	"github.com/merlonhq/merlon/server"
)

type eventsVerifyCommand struct {
	PublicKey  string   `help:"The public keys of the nodes that wrote the log, as merlon events public-key prints them." placeholder:"FILE" type:"path"`
	Checkpoint []string `help:"Lines with checkpoints that were kept elsewhere, such as what standard output or merlon events query --json gave: the log must go as far as they do." placeholder:"FILE" type:"path"`
	Files      []string `arg:"" name:"file" help:"The files of one log, rotated and compressed ones too." type:"path"`
}

func (eventsVerifyCommand) examples() string {
	return `Examples:
  merlon events verify --public-key node.pem logs/security*.log
  merlon events verify --public-key node.pem --checkpoint collected.jsonl logs/security.log

Keep the public key, and copies of checkpoints, where whoever can write the log cannot
change them. Without a public key the chain is checked and the signatures are not:
whoever can write the files can write them anew.

Exit codes: 0 intact, 1 broken (FILE:LINE: why), 2 when it could not be found out.
A line that a crash tore is a note, not a break.
`
}

func (cmd eventsVerifyCommand) Run(c console) error {
	cannot := func(err error) error {
		fmt.Fprintln(c.err, "merlon:", err)
		return exit(exitUsage)
	}
	cfg := audit.VerifyConfig{Files: cmd.Files}
	var err error
	if cmd.PublicKey != "" {
		if cfg.Keys, err = readPublicKeys(cmd.PublicKey); err != nil {
			return cannot(err)
		}
	}
	for _, path := range cmd.Checkpoint {
		found, err := readCheckpoints(path)
		if err != nil {
			return cannot(err)
		}
		cfg.Checkpoints = append(cfg.Checkpoints, found...)
	}
	v, err := audit.Verify(cfg)
	if err != nil {
		return cannot(err)
	}
	for _, b := range v.Breaks {
		if _, err := fmt.Fprintln(c.out, plain(b.String())); err != nil {
			return err
		}
	}
	for _, n := range v.Notes {
		fmt.Fprintln(c.err, "note:", plain(n.String()))
	}
	if v.Unchecked > 0 {
		fmt.Fprintf(c.err, "note: the signatures of %d checkpoints are unchecked: give --public-key\n", v.Unchecked)
	}
	if len(v.Breaks) > 0 {
		return exit(exitFailed)
	}
	_, err = fmt.Fprintf(c.out, "intact: lines %d to %d, %d checkpoints with a good signature\n", v.First, v.Last, v.Signed)
	return err
}

// maxKeyFile bounds what is read of a file of public keys.
const maxKeyFile = 1 << 20

// readPublicKeys reads PEM blocks of Ed25519 keys (RFC 7468, RFC 8410).
func readPublicKeys(path string) ([]ed25519.PublicKey, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return nil, err
	}
	var keys []ed25519.PublicKey
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "PUBLIC KEY" {
			return nil, fmt.Errorf("%s holds a PEM block of type %.40q: want PUBLIC KEY", path, block.Type)
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		key, ok := parsed.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%s holds a key that is not Ed25519", path)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no public key: want what merlon events public-key prints", path)
	}
	return keys, nil
}

// readCheckpoints returns the checkpoints among the lines of a file.
func readCheckpoints(path string) ([]audit.Checkpoint, error) {
	f, err := audit.OpenLog(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []audit.Checkpoint
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if c, ok := audit.ParseCheckpoint(lines.Bytes()); ok {
			found = append(found, c)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s holds no checkpoint", path)
	}
	return found, nil
}

type eventsPublicKeyCommand struct {
	Config string `help:"Read the settings from this YAML file." placeholder:"FILE" type:"path"`
	Output string `help:"Write them to this new file instead of standard output." placeholder:"FILE" type:"path"`
}

func (eventsPublicKeyCommand) examples() string {
	return `Example:
  merlon events public-key --config merlon.yaml --output node.pem

The key is made of secret_key and the id of the node, which is kept beside the event log
from the first start on. Those of secret_key_previous are printed too.

Exit codes: 0 printed, 1 there is none, 2 when the command line or the settings are wrong.
`
}

func (cmd eventsPublicKeyCommand) Run(c console) error {
	set, err := settings(c, server.LoadSettings, server.Source{File: cmd.Config})
	if err != nil {
		return err
	}
	keys, err := server.EventKeys(set)
	if err != nil {
		return err
	}
	var text []byte
	for _, k := range keys {
		der, err := x509.MarshalPKIXPublicKey(k.Key)
		if err != nil {
			return err
		}
		text = append(text, "# "+k.Node+" key "+k.ID+"\n"...)
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return writeOut(c, cmd.Output, text)
}
