package recipes

func removeBinary() {}
