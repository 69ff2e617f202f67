"""MIT Indoor-67 (Quattoni and Torralba, 2009): 15,620 photographs of 67 indoor scenes."""

from trainables.data.source import Source

# The names of the folders in the archive, with their spelling.
CLASSES = """
airport_inside artstudio auditorium bakery bar bathroom bedroom bookstore bowling buffet
casino children_room church_inside classroom cloister closet clothingstore computerroom
concert_hall corridor deli dentaloffice dining_room elevator fastfood_restaurant florist
gameroom garage greenhouse grocerystore gym hairsalon hospitalroom inside_bus
inside_subway jewelleryshop kindergarden kitchen laboratorywet laundromat library
livingroom lobby locker_room mall meeting_room movietheater museum nursery office
operating_room pantry poolinside prisoncell restaurant restaurant_kitchen shoeshop
stairscase studiomusic subway toystore trainstation tv_studio videostore waitingroom
warehouse winecellar
"""

MIT67 = Source(
    name="mit67",
    hub="",
    shape=(3, 256, 256),
    classes=tuple(CLASSES.split()),
    photos=True,
    tar="http://groups.csail.mit.edu/vision/LabelMe/NewImages/indoorCVPR_09.tar",
    tar_size="2.4 GB",
    drop=("black and white",),
)
