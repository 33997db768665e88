// Package image holds no code: its files are parts of the container image, and its
// tests hold the Dockerfile to what the documentation says of it.
//
// The tests need no container engine. They read the Dockerfile, refuse every
// instruction that they do not know, run the commands of its build stage on what
// .dockerignore lets through, lay out the root file system, and start it as an
// engine does: in namespaces of its own, with a read-only root, as the user of the
// image and without capabilities. That takes root and Linux; elsewhere these tests
// are skipped, but for CI.
package image
