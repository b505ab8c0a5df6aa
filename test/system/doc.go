// Package system tests the whole of Surgewall on a real Kubernetes cluster with a real RabbitMQ, under real traffic on loopback.
package system
