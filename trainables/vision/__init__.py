"""Vision: image classification, photographs, class activation maps, adversarial examples."""
