package server

import "os"

// stdout writes to standard output as it is at the moment of the write.
type stdout struct{}

func (stdout) Write(p []byte) (int, error) { return os.Stdout.Write(p) }
