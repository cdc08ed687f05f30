-- Asks for a verification now. Each new value counts, and this one changes with every write of the object.
if obj.metadata.annotations == nil then
  obj.metadata.annotations = {}
end
obj.metadata.annotations["streamingendpoints.dev/verify-requested-at"] = "argocd-" .. obj.metadata.resourceVersion
return obj
