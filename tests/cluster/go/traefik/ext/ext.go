// Package ext stands in for a nested module that Traefik's release on the module proxy lacks: places for
// extensions, empty here as there.
package ext

// HTTP extends the HTTP configuration.
type HTTP struct{}

// Router extends a router.
type Router struct{}
