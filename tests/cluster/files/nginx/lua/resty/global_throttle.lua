return {} -- loaded by the controller, used by no annotation here
