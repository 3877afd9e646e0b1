module github.com/tocsin-push/tocsin

go 1.26

require (
	github.com/danielgtaylor/huma/v2 v2.37.2 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
	pgregory.net/rapid v1.3.0 // indirect
)
